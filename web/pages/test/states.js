// The states that the pages can be in, for whoever looks at all of them: the tests of accessibility, and the screenshots.
import { pauseSale } from "lastunit";
import { newWorld } from "../../client/test/world.js";
import { addToCart, button, sees, visit } from "./browser.js";
import { product, sale } from "./shop.js";

const goods = {
  "kettle-copper": ["Copper kettle", 8900, 24, "1.2 litres, hand-hammered in Porto. Sings when it boils."],
  "lamp-moon": ["Moon lamp", 5400, 60, "A small moon for the desk, phases included."],
  "mug-last": ["The last mug", 1900, 1, "There is exactly one. Somebody will get it, and only one."],
  "notebook-dots": ["Dot notebook", 1450, 2500, "192 numbered pages that lie flat."],
  "poster-tides": ["Tide poster", 3200, 12, "A year of tides at Mont-Saint-Michel, printed in two blues."],
  "radio-walnut": ["Walnut radio", 14900, 0, "FM, one knob, surprisingly loud."],
  "sneaker-1212": ["Sneaker 12.12", 12900, 500, "The flash-sale shoe: 500 pairs, never again."],
};

const flash = (more) => ({ name: "12.12 flash sale", items: [{ sku: "sneaker-1212", price: { amount: 6900, currency: "EUR" } }], ...more });

/** A shop with the demo's goods, and a sale unless terms is null. */
export async function stocked(terms = {}) {
  const world = await newWorld();
  for (const [sku, [name, amount, quantity, description]] of Object.entries(goods)) {
    await product(world, sku, quantity, { name, description, price: { amount, currency: "EUR" }, image_url: `/goods/${sku}.svg` });
  }
  const saleId = terms && (await sale(world, "sneaker-1212", flash(terms)));
  return { ...world, saleId };
}

/** Somebody else has all of it in the cart. */
async function takenByOthers(world, sku) {
  const { page, context } = await visit(world, `/products/${sku}`);
  await addToCart(page);
  await context.close();
}

/** Each state: its name, the shop that it needs, and what a visitor does to see it. */
export const states = [
  { name: "before-opening", shop: () => stocked({ opensIn: 2 * 3600_000 + 754_000 }), path: "/", async show(page) { await sees(page, "Opens in"); } },
  { name: "open", shop: () => stocked(), path: "/", async show(page) { await sees(page, "Open now"); } },
  {
    name: "sale-of-several", path: "/", async shop() {
      const item = (sku, amount) => ({ sku, price: { amount, currency: "EUR" } });
      return stocked({ name: "Cosy evening", items: [item("kettle-copper", 6900), item("lamp-moon", 3900), item("notebook-dots", 990), item("radio-walnut", 9900)] });
    },
    async show(page) { await sees(page, "Cosy evening"); },
  },
  {
    name: "paused", shop: () => stocked(), path: "/", async show(page, world) {
      await pauseSale(world.operator, world.saleId);
      await sees(page, "Sale paused");
    },
  },
  { name: "product", shop: () => stocked(), path: "/products/poster-tides", async show(page) { await sees(page, "12 left"); } },
  { name: "all-held", shop: async () => { const w = await stocked(); await takenByOthers(w, "mug-last"); return w; }, path: "/products/mug-last", async show(page) { await sees(page, "All in other carts"); } },
  { name: "sold-out", shop: () => stocked(), path: "/products/radio-walnut", async show(page) { await sees(page, "Every one of them found its buyer."); } },
  {
    name: "queue", shop: () => stocked(), path: "/products/sneaker-1212", async show(page, world) {
      await sees(page, "500 left");
      await world.hold("sneaker-1212");
      const others = await Promise.all([1, 2].map(() => visit(world, "/products/sneaker-1212")));
      for (const other of others) {
        await button(other.page, /Add to cart/).click();
        await sees(other.page, "You are in line");
      }
      await button(page, /Add to cart/).click();
      await sees(page, /2 asked for ahead/);
      await Promise.all(others.map((other) => other.context.close()));
    },
  },
  {
    name: "refused", shop: () => stocked(), path: "/products/mug-last", async show(page, world) {
      await sees(page, "Only 1 left");
      // News of the stock come late.
      const old = await (await fetch(`${world.url}/api/v1/products/mug-last`)).text();
      await page.route("**/api/v1/products/events*", (route) => route.fulfill({ contentType: "text/event-stream", body: `event: product\ndata: ${old}\n\n` }));
      await page.reload();
      await sees(page, "Only 1 left");
      await takenByOthers(world, "mug-last");
      await button(page, /Add to cart/).click();
      await sees(page, "All in other people's carts");
    },
  },
  {
    name: "cart", shop: () => stocked(), path: "/products/poster-tides", async show(page, world) {
      await addToCart(page);
      await page.goto(`${world.url}/products/sneaker-1212`);
      await addToCart(page);
      await page.goto(`${world.url}/cart`);
      await sees(page, "Order and go to payment");
    },
  },
  {
    name: "cart-expiring", shop: () => stocked({ hold_seconds: 50 }), path: "/products/sneaker-1212", async show(page) {
      await addToCart(page);
      await page.getByRole("link", { name: "View cart" }).click();
      await sees(page, "Nearly out of time");
    },
  },
  {
    name: "cart-ran-out", shop: () => stocked({ hold_seconds: 2 }), path: "/products/sneaker-1212", async show(page, world) {
      await addToCart(page);
      await page.goto(`${world.url}/cart`);
      await sees(page, "Time ran out for");
    },
  },
  { name: "cart-empty", shop: () => stocked(), path: "/cart", async show(page) { await sees(page, "Nothing in it yet."); } },
  {
    name: "payment", shop: () => stocked(), path: "/products/kettle-copper", async show(page, world) {
      await ordered(page, world);
    },
  },
  {
    name: "declined", shop: () => stocked(), path: "/products/kettle-copper", async show(page, world) {
      await ordered(page, world);
      await page.getByRole("radio", { name: /declined/ }).check();
      await button(page, /^Pay/).click();
      await sees(page, "The payment did not go through");
    },
  },
  {
    name: "paid", shop: () => stocked(), path: "/products/kettle-copper", async show(page, world) {
      await page.getByLabel(/How many/).selectOption("2");
      await ordered(page, world);
      await button(page, /^Pay/).click();
      await page.getByRole("heading", { name: "It is yours" }).waitFor();
    },
  },
  {
    name: "orders", shop: () => stocked(), path: "/products/kettle-copper", async show(page, world) {
      await ordered(page, world);
      await button(page, /^Pay/).click();
      await page.getByRole("heading", { name: "It is yours" }).waitFor();
      await page.goto(`${world.url}/products/lamp-moon`);
      await ordered(page, world);
      await page.goto(`${world.url}/orders`);
      await sees(page, "Moon lamp");
    },
  },
  { name: "empty", shop: () => newWorld(), path: "/", async show(page) { await sees(page, "The shelves are empty."); } },
  { name: "nowhere", shop: () => newWorld(), path: "/nowhere", async show(page) { await sees(page, "There is no such page"); } },
  {
    name: "offline", shop: () => stocked(), path: "/products/lamp-moon", async show(page) {
      await sees(page, "60 left");
      await page.context().setOffline(true);
      await sees(page, "You are offline.");
    },
  },
];

async function ordered(page, world) {
  await addToCart(page);
  await page.goto(`${world.url}/cart`);
  await button(page, /Order and go/).click();
  await page.getByRole("heading", { name: "Pay for your order" }).waitFor();
}

