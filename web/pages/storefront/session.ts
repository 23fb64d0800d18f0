// Who the buyer is: whom the shop's token names, or a guest of this browser.
import { signal } from "@preact/signals";
import { createClient, isProblem, startSession } from "lastunit";

const shopsToken = "lastunit.token";
const guestsSession = "lastunit.guest";

interface Session {
  token: string;
  expires_at: string;
}

/** guests: anybody may buy; shop: only whom the shop sends; over: the shop's token is no longer taken. */
export const entry = signal<"guests" | "shop" | "over">("guests");

// A shop that sends its buyers here adds #token=... to the address. It is gone from there before anybody copies it.
const given = /^#token=([\w.-]+)$/.exec(location.hash)?.[1];
if (given) {
  sessionStorage.setItem(shopsToken, given);
  history.replaceState(history.state, "", location.pathname + location.search);
}

function guest(): Session | null {
  try {
    const session = JSON.parse(localStorage.getItem(guestsSession) ?? "null") as Session | null;
    return session && Date.parse(session.expires_at) > Date.now() + 60_000 ? session : null;
  } catch {
    return null;
  }
}

/** Tells whether there may be a cart: whoever has no token yet has none. */
export function known(): boolean {
  return sessionStorage.getItem(shopsToken) !== null || guest() !== null;
}

const door = createClient();
let arriving: Promise<string | undefined> | undefined;

/** The buyer's token, for the client. Guests get theirs when they first need one. */
export async function token(rejected?: string): Promise<string | undefined> {
  const fromShop = sessionStorage.getItem(shopsToken);
  if (fromShop && fromShop !== rejected) {
    return fromShop;
  }
  if (fromShop) {
    sessionStorage.removeItem(shopsToken);
    entry.value = "over";
    return undefined;
  }
  const session = guest();
  if (session && session.token !== rejected) {
    return session.token;
  }
  if (entry.value !== "guests") {
    return undefined;
  }
  arriving ??= arrive().finally(() => (arriving = undefined));
  return arriving;
}

// The client does not repeat this call, because each makes another visitor; before there is anything in a cart that does no harm.
async function arrive(): Promise<string | undefined> {
  for (let attempts = 1; ; attempts++) {
    try {
      const session = await startSession(door);
      localStorage.setItem(guestsSession, JSON.stringify({ token: session.token, expires_at: session.expires_at } satisfies Session));
      return session.token;
    } catch (error) {
      if (isProblem(error, "not-found")) {
        entry.value = "shop";
        return undefined;
      }
      if (isProblem(error) || attempts === 10) {
        throw error;
      }
    }
    await new Promise((done) => setTimeout(done, Math.min(3000, 250 * 2 ** attempts) * (0.5 + Math.random() / 2)));
  }
}
