// The buyer's cart: what is in it, what is waited for, what ran out.
import { computed, effect, signal } from "@preact/signals";
import { checkout, claimQueued, ConnectionError, getCart, getTransaction, isProblem, newKey, outcome, release, remaining, watchTransaction } from "lastunit";
import type { Cart, Order, Transaction } from "lastunit";
import { inWords } from "../shared/time";
import { inSale, nameOfSku, product } from "./catalogue";
import { entry, known } from "./session";
import { now, say, shop } from "./shop";
import { keep, kept } from "./store";
import { advice } from "./words";

/** The cart as the service last told it; undefined while nothing is known. */
export const cart = signal<Cart | undefined>(known() ? undefined : emptyCart());
export const cartProblem = signal<unknown>(null);

function emptyCart(): Cart {
  return { items: [], queued: [], totals: [], next_expiry: null };
}

/** What is held and has not run out by the service's clock, whatever was told last. */
export const held = computed(() => (cart.value?.items ?? []).filter((t) => now.value < Date.parse(t.expires_at ?? "")));
export const heldUnits = computed(() => held.value.reduce((sum, t) => sum + t.quantity, 0));
export const nextExpiry = computed(() => held.value.reduce<string | null>((least, t) => (least === null || t.expires_at! < least ? t.expires_at : least), null));

export function heldOf(sku: string): number {
  return held.value.reduce((sum, t) => sum + (t.sku === sku ? t.quantity : 0), 0);
}

/** A hold that ran out before it was ordered. */
export interface Lapsed {
  id: string;
  sku: string;
  quantity: number;
  at: string;
}
export const lapsed = signal<Lapsed[]>(kept<Lapsed[]>("lapsed") ?? []);
effect(() => keep("lapsed", lapsed.value.length > 0 ? lapsed.value : null));

export function dismiss(id: string): void {
  lapsed.value = lapsed.value.filter((l) => l.id !== id);
}

let reading: Promise<void> | undefined;

/** Asks for the cart. Who asks while it is being asked for waits for an answer that is newer. */
export async function loadCart(): Promise<void> {
  await reading?.catch(() => {});
  reading ??= readCart().finally(() => (reading = undefined));
  return reading;
}

async function readCart(): Promise<void> {
  if (!known()) {
    cart.value = emptyCart();
    return;
  }
  try {
    const found = await getCart(shop);
    await noteLapsed(found);
    cart.value = found;
    cartProblem.value = null;
  } catch (error) {
    if (isProblem(error, "unauthenticated")) {
      cart.value = emptyCart();
    } else {
      cartProblem.value = error;
    }
  }
}

// What was in the cart when it was looked at last, also before the page was loaded anew: what has gone since may have run out.
async function noteLapsed(found: Cart): Promise<void> {
  const before = kept<Lapsed[]>("held") ?? [];
  keep("held", found.items.map(({ id, sku, quantity, expires_at: at }) => ({ id, sku, quantity, at })));
  for (const item of before) {
    if (found.items.some((t) => t.id === item.id) || lapsed.value.some((l) => l.id === item.id)) {
      continue;
    }
    const gone = await outcome(getTransaction(shop, item.id)); // refused: it was another buyer's
    if (gone.ok && gone.value.status === "expired") {
      lapsed.value = [...lapsed.value, item];
      say(`Time ran out: ${item.quantity} × ${nameOfSku(item.sku)} went back to stock.`);
    }
  }
}

// Looks again when something has run out, and says before that it will.
let warned = "";
effect(() => {
  void now.value;
  const told = cart.peek();
  if (!told) {
    return;
  }
  const over = told.items.filter((t) => remaining(shop, t.expires_at) === 0);
  if (over.length > 0 && !reading) {
    void loadCart();
  }
  const next = nextExpiry.peek();
  if (next && remaining(shop, next) < 60_000 && warned !== next) {
    warned = next;
    say(`Your cart runs out in ${inWords(remaining(shop, next))}.`);
  }
});

/** What becomes of adding a product: being asked, in line, or refused. */
export type Adding =
  | { phase: "asking" }
  | { phase: "queued"; id: string; position: number | null }
  | { phase: "done"; quantity: number }
  | { phase: "refused"; error: unknown };

export const adding = signal<Record<string, Adding>>({});

function set(sku: string, state: Adding | null): void {
  const { [sku]: _, ...rest } = adding.peek();
  adding.value = state ? { ...rest, [sku]: state } : rest;
}

/** What the buyer wants, with the key under which it is asked for, so that it is done once however often it is asked. */
interface Intent {
  sku: string;
  quantity: number;
  sale_id: string | null;
  key: string;
}

const intents = () => kept<Record<string, Intent>>("intents") ?? {};

function keepIntent(sku: string, intent: Intent | null): void {
  const { [sku]: _, ...rest } = intents();
  const all = intent ? { ...rest, [sku]: intent } : rest;
  keep("intents", Object.keys(all).length > 0 ? all : null);
}

const running = new Set<string>();

/**
 * Adds to the cart, at the price that is shown: through the sale that is under way and no other way, or beside it at the usual price. While it is
 * being asked for, and right after, asking again changes nothing.
 */
export function add(sku: string, quantity: number, usualPrice = false): void {
  if (running.has(sku)) {
    return;
  }
  const unanswered = intents()[sku];
  const p = product(sku).peek();
  const sale_id = p && inSale(p) && !usualPrice ? p.sale.id : null;
  const intent = unanswered?.quantity === quantity && unanswered.sale_id === sale_id ? unanswered : { sku, quantity, sale_id, key: newKey() };
  void pursue(intent);
}

async function pursue(intent: Intent): Promise<void> {
  const { sku, quantity, sale_id, key } = intent;
  running.add(sku);
  keepIntent(sku, intent);
  set(sku, { phase: "asking" });
  try {
    const asked = await claimQueued(shop, { sku, quantity, ...(sale_id && { sale_id }) }, { key, wait: 1 });
    const decided = asked.status === "queued" ? await inLine(asked) : asked;
    keepIntent(sku, null);
    await settled(decided);
  } catch (error) {
    // Without an answer the key stays: asking again asks for the same.
    if (isProblem(error) && error.code !== "outcome-unknown") {
      keepIntent(sku, null);
    }
    set(sku, { phase: "refused", error });
    say(`${advice(error).title}. ${advice(error).text}`);
    if (isProblem(error, "unauthenticated") && entry.value === "guests") {
      entry.value = "shop";
    }
  } finally {
    // The second half of a double click is no second wish.
    setTimeout(() => running.delete(sku), 700);
  }
}

async function inLine(asked: Transaction): Promise<Transaction> {
  let saidAt = 0;
  return watchTransaction(shop, asked.id, {
    onChange: ({ status, queue_position: position }) => {
      if (status !== "queued") {
        return;
      }
      set(asked.sku, { phase: "queued", id: asked.id, position });
      if (Date.now() - saidAt > 15_000) {
        saidAt = Date.now();
        say(position ? `In line for ${nameOfSku(asked.sku)}: ${position} ahead of you.` : `In line for ${nameOfSku(asked.sku)}: you are next.`);
      }
    },
  });
}

async function settled({ sku, status, reason, quantity, expires_at }: Transaction): Promise<void> {
  if (status === "refused") {
    set(sku, { phase: "refused", error: reason ?? "" });
    say(`${advice(reason ?? "").title}. ${advice(reason ?? "").text}`);
    return;
  }
  await loadCart();
  if (status === "held") {
    set(sku, { phase: "done", quantity });
    lapsed.value = lapsed.value.filter((l) => l.sku !== sku);
    say(`${quantity} × ${nameOfSku(sku)} in your cart, yours for ${inWords(remaining(shop, expires_at))}.`);
  } else {
    set(sku, null);
  }
}

/** Leaves the line. */
export async function leave(sku: string): Promise<void> {
  const state = adding.peek()[sku];
  if (state?.phase === "queued") {
    await release(shop, state.id);
    say("You have left the line.");
  }
}

export function forget(sku: string): void {
  set(sku, null);
}

/** Gives back what is held. */
export async function remove(t: Transaction): Promise<void> {
  keep("held", (kept<Lapsed[]>("held") ?? []).filter((h) => h.id !== t.id));
  await release(shop, t.id);
  set(t.sku, null);
  say(`${t.quantity} × ${nameOfSku(t.sku)} taken out of your cart.`);
  await loadCart();
}

interface Checkout {
  key: string;
  ids: string[];
}

/** Orders what is held. The same holds are ordered under the same key, so that it is done once. */
export async function order(): Promise<Order> {
  const ids = held.peek().map((t) => t.id).sort();
  const before = kept<Checkout>("checkout");
  const key = before && before.ids.join() === ids.join() ? before.key : newKey();
  keep("checkout", { key, ids } satisfies Checkout);
  try {
    const made = await checkout(shop, { transaction_ids: ids }, { key });
    keep("checkout", null);
    keep("held", null);
    ids.forEach((id) => cart.peek()?.items.filter((t) => t.id === id).forEach((t) => set(t.sku, null)));
    void loadCart();
    return made;
  } catch (error) {
    if (!(error instanceof ConnectionError) && !isProblem(error, "outcome-unknown")) {
      keep("checkout", null);
      await loadCart();
    }
    throw error;
  }
}

/** Goes on with what was under way when the page was left. */
export function resume(): void {
  if (known()) {
    void loadCart();
    Object.values(intents()).forEach((intent) => void pursue(intent));
  }
  document.addEventListener("visibilitychange", () => document.hidden || void loadCart());
  addEventListener("online", () => void loadCart());
}
