// Orders: what is asked of the service, once each.
import { cancel, ConnectionError, isProblem, newKey, pay } from "lastunit";
import type { Order } from "lastunit";
import { shop } from "./shop";
import { keep, kept } from "./store";

interface Payment {
  key: string;
  card: string;
}

/** The payment that was sent and not answered, also before the page was loaded anew. */
export const unanswered = (id: string): Payment | null => kept<Payment>(`pay.${id}`);

/** Pays, with the key of a payment that was not answered if there is one, so that money is taken once. */
export async function payWith(id: string, card: string): Promise<Order> {
  const before = unanswered(id);
  const payment = before ?? { key: newKey(), card };
  return answered(`pay.${id}`, payment, pay(shop, id, { card: payment.card }, { key: payment.key, attemptTimeoutMs: 20_000, timeoutMs: 45_000 }));
}

export async function cancelOrder(id: string): Promise<Order> {
  const intent = kept<{ key: string }>(`cancel.${id}`) ?? { key: newKey() };
  return answered(`cancel.${id}`, intent, cancel(shop, id, { key: intent.key }));
}

async function answered(name: string, intent: object, call: Promise<Order>): Promise<Order> {
  keep(name, intent);
  try {
    const order = await call;
    keep(name, null);
    return order;
  } catch (error) {
    if (!(error instanceof ConnectionError) && !isProblem(error, "outcome-unknown")) {
      keep(name, null);
    }
    throw error;
  }
}
