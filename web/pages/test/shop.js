// What operators do before buyers come.
import { openSale, planSale, putProduct, receive, scheduleSale } from "lastunit";

export const euros = (amount) => ({ amount: amount * 100, currency: "EUR" });

export async function product(world, sku, quantity, more = {}) {
  await putProduct(world.operator, sku, { name: `The ${sku}`, price: euros(20), ...more });
  if (quantity > 0) await receive(world.operator, sku, { quantity, reference: "test" });
}

/** A sale of a product at half its price; it is open, unless it opens later. */
export async function sale(world, sku, { opensIn = 0, ...more } = {}) {
  const at = (ms) => new Date(Date.now() + ms).toISOString();
  const terms = { name: "Midnight sale", opens_at: at(opensIn || 3600_000), closes_at: at(4 * 3600_000), hold_seconds: 600, purchase_limit: 2, items: [{ sku, price: euros(10) }], ...more };
  const { id } = await planSale(world.operator, terms);
  await scheduleSale(world.operator, id);
  if (!opensIn) await openSale(world.operator, id);
  return id;
}
