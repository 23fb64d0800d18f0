// What one would want to know of a sale before it opens.
import type { Product, Sale, SaleItem } from "lastunit";
import { count, money } from "./format";

export interface Planned {
  id: string | null;
  opens_at: string;
  closes_at: string;
  hold_seconds: number;
  purchase_limit: number | null;
  max_quantity: number;
  items: SaleItem[];
  status: Sale["status"];
}

export interface Found {
  /** Whether it will go wrong, or is only worth knowing. */
  wrong: boolean;
  text: string;
  /** The sale that it is about. */
  sale?: Sale;
}

/** Looks a plan over: its stock, its prices, its times, and the other sales. */
export function look(plan: Planned, products: ReadonlyMap<string, Product>, sales: Sale[], now: number): Found[] {
  const none = plan.items.every((item) => item.sku === "") ? [{ wrong: false, text: "No product is chosen yet." }] : [];
  return [...none, ...times(plan, now), ...plan.items.flatMap((item) => stock(item, plan, products.get(item.sku))), ...overlaps(plan, sales)];
}

function times(plan: Planned, now: number): Found[] {
  const found: Found[] = [];
  const opens = Date.parse(plan.opens_at);
  const closes = Date.parse(plan.closes_at);
  if (opens >= closes) {
    found.push({ wrong: true, text: "It closes before it opens." });
  } else if (closes <= now) {
    found.push({ wrong: true, text: "It would be over already." });
  } else if (opens <= now && plan.status === "draft") {
    found.push({ wrong: false, text: "Its opening has passed: it opens as soon as it is scheduled." });
  }
  if (plan.purchase_limit !== null && plan.max_quantity > plan.purchase_limit) {
    found.push({ wrong: false, text: `One claim may ask for ${plan.max_quantity}, but a buyer may have ${plan.purchase_limit}: who asks for more is told so.` });
  }
  if (plan.hold_seconds * 1000 > closes - opens) {
    found.push({ wrong: false, text: "A hold lasts longer than the sale: what lapses comes back too late to be sold in it." });
  }
  return found;
}

function stock(item: SaleItem, plan: Planned, product: Product | undefined): Found[] {
  if (item.sku === "" || !product) {
    return item.sku === "" ? [] : [{ wrong: true, text: `There is no product ${item.sku}.` }];
  }
  const found: Found[] = [];
  const { available, capped, status } = product.availability;
  if (!product.selling) {
    found.push({ wrong: true, text: `${item.sku} is off sale: nothing of it can be claimed until that is changed.` });
  }
  const setAside = item.quantity !== null && item.quantity !== undefined && plan.status !== "draft";
  if (!setAside && status !== "not_selling" && !capped) {
    if (available === 0) {
      found.push({ wrong: true, text: `${item.sku} has no stock. Receive some first.` });
    } else if (item.quantity && item.quantity > available) {
      found.push({ wrong: true, text: `${item.sku} has ${count(available)} to be had, of the ${count(item.quantity)} that are to be set aside. Receive more, or set fewer aside.` });
    }
  }
  if (product.price && product.price.currency === item.price.currency && item.price.amount > product.price.amount) {
    found.push({ wrong: false, text: `${item.sku} costs more in the sale (${money(item.price)}) than otherwise (${money(product.price)}).` });
  }
  if (item.price.amount === 0) {
    found.push({ wrong: false, text: `${item.sku} costs nothing in the sale.` });
  }
  return found;
}

function overlaps(plan: Planned, sales: Sale[]): Found[] {
  const skus = new Set(plan.items.map((item) => item.sku));
  return sales.filter((s) => s.id !== plan.id && s.status !== "closed" && s.opens_at < plan.closes_at && plan.opens_at < s.closes_at)
    .flatMap((sale) => {
      const both = sale.items.map((item) => item.sku).filter((sku) => skus.has(sku));
      if (both.length === 0) {
        return [];
      }
      const text = `${both.join(", ")} ${both.length === 1 ? "is" : "are"} in another sale at the same time: only one of the two can be scheduled.`;
      return [{ wrong: sale.status !== "draft", text, sale }];
    });
}
