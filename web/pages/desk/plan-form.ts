// What is typed into the form of a sale, and what is sent of it.
import type { Product, Sale, SaleBody, SaleItem, SalePatch } from "lastunit";
import { fromMinor, toMinor } from "./format";
import { fromLocalInput, toLocalInput } from "./time";

export interface ItemTyped {
  sku: string;
  price: string;
  currency: string;
  quantity: string;
}

export interface Typed {
  name: string;
  opens: string;
  closes: string;
  holdSeconds: number;
  limit: string;
  maxQuantity: string;
  cooldownSeconds: number;
  items: ItemTyped[];
}

const hour = 3_600_000;

export function typedOf(sale: Sale | null, now: number): Typed {
  if (sale) {
    return {
      name: sale.name, opens: toLocalInput(sale.opens_at), closes: toLocalInput(sale.closes_at), holdSeconds: sale.hold_seconds,
      limit: sale.purchase_limit === null ? "" : String(sale.purchase_limit), maxQuantity: String(sale.max_quantity), cooldownSeconds: sale.cooldown_seconds,
      items: sale.items.map((item) => ({ sku: item.sku, price: fromMinor(item.price), currency: item.price.currency, quantity: item.quantity ? String(item.quantity) : "" })),
    };
  }
  const opens = Math.ceil(now / hour + 1) * hour;
  return {
    name: "", opens: toLocalInput(opens), closes: toLocalInput(opens + 2 * hour), holdSeconds: 600, limit: "2", maxQuantity: "2", cooldownSeconds: 0, items: [newItem()],
  };
}

export const newItem = (): ItemTyped => ({ sku: "", price: "", currency: "EUR", quantity: "" });

/** An item with a product chosen: its price is what the product costs, until another is typed. */
export function choose(item: ItemTyped, product: Product | undefined): ItemTyped {
  return { ...item, sku: product?.sku ?? "", price: product?.price ? fromMinor(product.price) : item.price, currency: product?.price?.currency ?? item.currency };
}

const wholeOrNull = (text: string) => (text.trim() === "" ? null : Number(text));

/** What is to be sent, and by field what of it can't even be sent. */
export function bodyOf(typed: Typed): { body: SaleBody; wrong: Record<string, string> } {
  const wrong: Record<string, string> = {};
  const items = typed.items.map((item, i): SaleItem => {
    const amount = toMinor(item.price, item.currency);
    if (item.sku === "") {
      wrong[`body.items[${i}].sku`] = "Choose a product.";
    }
    if (Number.isNaN(amount)) {
      wrong[`body.items[${i}].price.amount`] = "An amount, such as 12.90.";
    }
    return { sku: item.sku, price: { amount, currency: item.currency }, quantity: wholeOrNull(item.quantity) };
  });
  if (typed.name.trim() === "") {
    wrong["body.name"] = "A name.";
  }
  const opens_at = fromLocalInput(typed.opens);
  const closes_at = fromLocalInput(typed.closes);
  if (!opens_at) {
    wrong["body.opens_at"] = "A day and a time.";
  }
  if (!closes_at) {
    wrong["body.closes_at"] = "A day and a time.";
  }
  const body = {
    name: typed.name.trim(), opens_at, closes_at, hold_seconds: typed.holdSeconds, purchase_limit: wholeOrNull(typed.limit),
    max_quantity: Number(typed.maxQuantity), cooldown_seconds: typed.cooldownSeconds, items,
  };
  return { body, wrong };
}

/** What is to be changed of a sale: only what was typed anew. */
export function patchOf(sale: Sale, typed: Typed): SalePatch {
  const was = bodyOf(typedOf(sale, 0)).body;
  const is = bodyOf(typed).body;
  const changed = Object.entries(is).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(was[name as keyof SaleBody]));
  return Object.fromEntries(changed) as SalePatch;
}
