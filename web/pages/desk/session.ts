// Who is signed in: an operator's API key, kept for this tab alone, and what it may do.
import { computed, effect, signal } from "@preact/signals";
import { createClient, deleteProduct, getAudit, getUnit, isProblem, listOrders, saleChanges } from "lastunit";
import type { Client } from "lastunit";

export const scopes = ["audit", "catalog", "order", "sale", "stock"] as const;
export type Scope = (typeof scopes)[number];

const place = "lastunit.desk.key";

/** The key; null while nobody is signed in. */
export const key = signal<string | null>(takeKey());

/** Why the last key was turned away. */
export const turnedAway = signal<unknown>(null);

/** What the key may do; null while that is being found out. */
export const allowed = signal<ReadonlySet<Scope> | null>(null);

/** Calls with the key. One call goes on trying for 15 s: who runs a sale must soon know that nothing is answered. */
export const client = computed(() =>
  createClient({ timeoutMs: 15_000, attemptTimeoutMs: 8000, ...(key.value === null ? {} : { token: key.value }) }),
);

// A key may come in the fragment, which is never sent to a server; it does not stay in the address.
function takeKey(): string | null {
  const given = /^#key=([^&]+)/.exec(location.hash)?.[1];
  if (given !== undefined) {
    sessionStorage.setItem(place, decodeURIComponent(given));
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(place);
}

export function signIn(secret: string): void {
  sessionStorage.setItem(place, secret);
  turnedAway.value = null;
  key.value = secret;
}

export function signOut(why: unknown = null): void {
  sessionStorage.removeItem(place);
  turnedAway.value = why;
  allowed.value = null;
  key.value = null;
}

/** Tells whether the key may do what a scope allows; true while that is not known, so that the service decides. */
export function may(scope: Scope): boolean {
  return allowed.value?.has(scope) ?? true;
}

const nobody = "00000000-0000-0000-0000-000000000000";

// For each scope a call that needs it and does nothing. "~" can't be a SKU.
const probes: Record<Scope, (client: Client) => Promise<unknown>> = {
  audit: (c) => getAudit(c),
  catalog: (c) => deleteProduct(c, "~"),
  order: (c) => listOrders(c, { limit: 1 }),
  sale: (c) => saleChanges(c, nobody, { limit: 1 }),
  stock: (c) => getUnit(c, nobody),
};

async function has(c: Client, scope: Scope): Promise<boolean> {
  try {
    await probes[scope](c);
    return true;
  } catch (error) {
    if (isProblem(error, "not-found")) {
      return true;
    }
    if (isProblem(error, "validation")) {
      return scope === "catalog"; // orders want a Buyer-Id of a key that may only act for buyers
    }
    if (isProblem(error, "forbidden")) {
      return false;
    }
    throw error;
  }
}

/** Finds out what the key may do, whenever it is another one. */
export function learnScopes(): () => void {
  return effect(() => {
    const c = client.value;
    if (key.value !== null) {
      void learn(c);
    }
  });
}

async function learn(c: Client): Promise<void> {
  try {
    const found = await Promise.all(scopes.map(async (scope) => ((await has(c, scope)) ? [scope] : [])));
    if (c === client.peek()) {
      allowed.value = new Set(found.flat());
    }
  } catch (error) {
    if (c === client.peek() && isProblem(error, "unauthenticated")) {
      signOut(error);
    } // else each part says itself what is the matter
  }
}
