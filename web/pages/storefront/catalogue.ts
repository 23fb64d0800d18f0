// What is for sale, live.
import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { isProblem, listProducts, watchProduct } from "lastunit";
import type { Money, Product, ProductSale } from "lastunit";
import { useEffect } from "preact/hooks";
import { say, shop } from "./shop";
import { stockWords } from "./words";

const products = new Map<string, Signal<Product | null | undefined>>();

/** A product as it now is: undefined while nothing is known, null when there is none. */
export function product(sku: string): Signal<Product | null | undefined> {
  let found = products.get(sku);
  if (!found) {
    products.set(sku, (found = signal(undefined)));
  }
  return found;
}

/** The SKUs of the front page; undefined until they are known. */
export const shelf = signal<string[] | undefined>(undefined);
/** Where the rest of the shelf begins. */
export const further = signal<string | null>(null);
export const shelfProblem = signal<unknown>(null);

let asking: Promise<void> | undefined;

export function loadShelf(more = false): Promise<void> {
  asking ??= ask(more ? further.value : null).finally(() => (asking = undefined));
  return asking;
}

async function ask(cursor: string | null): Promise<void> {
  try {
    const page = await listProducts(shop, { limit: 60, ...(cursor && { cursor }) });
    page.items.forEach((p) => (product(p.sku).value = p));
    const before = cursor ? (shelf.value ?? []) : [];
    shelf.value = [...before, ...page.items.map((p) => p.sku).filter((sku) => !before.includes(sku))];
    further.value = page.next_cursor;
    shelfProblem.value = null;
  } catch (error) {
    shelfProblem.value = error;
  }
}

/** Keeps products live for as long as the component is there. spoken: what becomes of their stock is read out. */
export function useLive(skus: string[], spoken = false): void {
  useEffect(() => {
    const stops = skus.map((sku) => {
      const known = product(sku);
      return watchProduct(shop, sku, (p) => {
        const before = known.value?.availability.status;
        known.value = p;
        if (spoken && before && before !== p.availability.status) {
          say(`${nameOf(p)}: ${stockWords(p).text}`);
        }
      }, { onError: (error) => isProblem(error) && (known.value ??= null) });
    });
    return () => stops.forEach((stop) => stop());
  }, [skus.join(" "), spoken]);
}

export function nameOf(p: Pick<Product, "name" | "sku">): string {
  return p.name ?? p.sku;
}

export function nameOfSku(sku: string): string {
  const p = product(sku).value;
  return p ? nameOf(p) : sku;
}

/** Whether its sale is under way, and it costs what the sale says. */
export function inSale(p: Product): p is Product & { sale: ProductSale } {
  return p.sale !== null && p.sale.status !== "scheduled";
}

export function priceOf(p: Product): Money | null {
  return inSale(p) ? p.sale.price : p.price;
}

/** How many more the buyer, who has some in the cart, may ask for at once; 0: no more than that. */
export function mostAtOnce(p: Product, mine: number): number {
  const rule = p.sale ? Math.min(p.sale.max_quantity, Math.max(0, (p.sale.purchase_limit ?? Infinity) - mine)) : 10;
  const { status, available, capped } = p.availability;
  return status === "available" && !capped ? Math.min(rule, Math.max(1, available)) : rule;
}
