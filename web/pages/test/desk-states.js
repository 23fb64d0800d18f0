// The states that the desk can be in, as states.js has those of the shop.
import { checkout, claim, claimQueued, closeSale, pauseSale, pay, planSale, refund, runAudit, scheduleSale } from "lastunit";
import { soon } from "../../client/test/world.js";
import { button, sees } from "./browser.js";
import { euros, sale } from "./shop.js";
import { stocked } from "./states.js";

/** For how long a crowd buys before the desk is looked at, in seconds: the screenshots take longer than the tests. */
const courseSeconds = Number(process.env.LASTUNIT_COURSE_SECONDS ?? 4);

async function buys(world, sku, quantity, { name, pays = true, thinks = 0, queued = false, greedy = false } = {}) {
  const buyer = world.buyer(name ? { token: world.token(name) } : {});
  await (queued ? claimQueued(buyer, { sku, quantity }, { wait: 20 }) : claim(buyer, { sku, quantity }));
  if (greedy) await claim(buyer, { sku, quantity: 2 }).catch(() => {}); // more than anybody may have
  await soon(thinks);
  const { id } = await checkout(buyer);
  await soon(thinks / 2);
  return pays ? pay(buyer, id, { card: "succeed" }) : id;
}

/** Buyers come for so many seconds, in waves; some leave their carts. Resolves to what waits for those who are still at it. */
async function crowd(world, sku, seconds) {
  const coming = [];
  const think = Math.min(9000, seconds * 150);
  for (let began = performance.now(), n = 0, at = 0; at < seconds; at = (performance.now() - began) / 1000) {
    const wave = 1.2 + Math.sin(at / 5) + 2 * Math.exp(-at / 8);
    coming.push(buys(world, sku, 1 + (n % 2), { thinks: n % 6 === 5 ? seconds * 2000 : think * (0.4 + Math.random()), queued: n % 3 === 0, greedy: n % 4 === 1 }).catch(() => {}));
    n++;
    await soon(1000 / Math.max(0.4, wave));
  }
  return () => Promise.race([Promise.all(coming), soon(think)]);
}

/** Orders of all states, by people with names. */
async function ordered(world) {
  const people = ["ada", "grace", "linus", "margaret", "edsger", "barbara", "alan", "hedy"];
  const goods = ["kettle-copper", "lamp-moon", "notebook-dots", "poster-tides"];
  const orders = [];
  for (const [i, name] of people.entries()) {
    orders.push(await buys(world, goods[i % goods.length], 1 + (i % 3), { name, pays: i % 4 !== 3 }));
  }
  const [first, second] = orders;
  await refund(world.operator, second.id, { restock: "available" });
  await refund(world.operator, first.id, { unit_ids: first.lines[0].unit_ids.slice(0, 1), restock: "quarantine" });
  return orders;
}

async function planned(world) {
  const at = (hours) => new Date(Math.ceil(Date.now() / 3600_000 + hours) * 3600_000).toISOString();
  const terms = { hold_seconds: 600, purchase_limit: 2, max_quantity: 2 };
  const solstice = await planSale(world.operator, {
    ...terms, name: "Winter solstice", opens_at: at(26), closes_at: at(29), items: [{ sku: "lamp-moon", price: euros(39), quantity: 40 }, { sku: "poster-tides", price: euros(24) }],
  });
  await scheduleSale(world.operator, solstice.id);
  await planSale(world.operator, { ...terms, name: "Advent radio hour", opens_at: at(60), closes_at: at(62), items: [{ sku: "radio-walnut", price: euros(99), quantity: 20 }] });
  return solstice.id;
}

async function over(world) {
  const id = await sale(world, "notebook-dots", { name: "11.11 notebooks", hold_seconds: 60, items: [{ sku: "notebook-dots", price: euros(9), quantity: Math.max(6, courseSeconds * 2) }] });
  const rest = await crowd(world, "notebook-dots", courseSeconds);
  await rest();
  await closeSale(world.operator, id);
  return id;
}

/** Opens the desk, at a view. */
async function at(page, world, view, { key = world.key } = {}) {
  await page.getByLabel("API key").fill(key);
  await button(page, "Sign in").click();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  if (view) {
    await page.goto(`${world.url}/desk#/${view}`);
  }
}

const plotted = (page) => page.locator(".u-wrap canvas").first().waitFor();
const flash = (more = {}) => stocked({ items: [{ sku: "sneaker-1212", price: euros(69), quantity: Math.max(20, courseSeconds * 4) }], hold_seconds: 600, ...more });

export const deskStates = [
  { name: "desk-sign-in", looks: ["desktop"], shop: () => stocked(null), async show(page) { await page.getByLabel("API key").waitFor(); } },
  {
    name: "desk-overview", shop: () => flash(), async show(page, world) {
      await ordered(world);
      await planned(world);
      await runAudit(world.operator);
      await at(page, world, "");
      await sees(page, "Adds up.");
      await sees(page, "Winter solstice");
    },
  },
  {
    name: "desk-without-scopes", looks: ["desktop"], shop: () => flash(), async show(page, world) {
      await at(page, world, "", { key: await world.keyWith("order", "stock") });
      await sees(page, "The audit needs a key");
    },
  },
  {
    name: "desk-before", shop: () => stocked(null), async show(page, world) {
      await at(page, world, `sales/${await planned(world)}`);
      await sees(page, "Opens in");
      await sees(page, "Ready.");
      await page.getByLabel("Buyers").fill(String(courseSeconds * 10));
      await button(page, "Rehearse now").click();
      await sees(page, "It holds.");
      await button(page, "Dismiss").click();
    },
  },
  {
    name: "desk-during", looks: ["desktop", "desktop-dark", "phone"], shop: () => flash(), async show(page, world) {
      await runAudit(world.operator);
      await at(page, world, `sales/${world.saleId}`);
      await crowd(world, "sneaker-1212", courseSeconds);
      await plotted(page);
    },
  },
  {
    name: "desk-paused", looks: ["desktop-dark"], shop: () => flash(), async show(page, world) {
      await crowd(world, "sneaker-1212", courseSeconds / 2);
      await pauseSale(world.operator, world.saleId);
      await at(page, world, `sales/${world.saleId}`);
      await button(page, "Resume").waitFor();
      await plotted(page);
    },
  },
  {
    name: "desk-after", shop: () => stocked(null), async show(page, world) {
      const id = await over(world);
      await runAudit(world.operator, { sku: "notebook-dots" });
      await at(page, world, `sales/${id}`);
      await page.getByRole("region", { name: "Result" }).waitFor();
      await plotted(page);
    },
  },
  {
    name: "desk-plan", shop: () => stocked(null), async show(page, world) {
      await at(page, world, "sales/new");
      await page.getByLabel("Name").fill("12.12, day and night");
      await page.getByLabel("Product", { exact: true }).selectOption("sneaker-1212");
      await page.getByLabel("Price in the sale").fill("69.00");
      await page.getByLabel("Set aside").fill("600");
      await sees(page, "Receive more, or set fewer aside.");
    },
  },
  {
    name: "desk-question", looks: ["desktop"], shop: () => flash(), async show(page, world) {
      await at(page, world, `sales/${world.saleId}`);
      await button(page, "Close …").click();
      await page.getByRole("dialog").waitFor();
    },
  },
  {
    name: "desk-orders", shop: () => flash(), async show(page, world) {
      await ordered(world);
      await at(page, world, "orders");
      await sees(page, "hedy");
    },
  },
  {
    name: "desk-order", shop: () => stocked(null), async show(page, world) {
      const [, , order] = await ordered(world);
      await at(page, world, `orders/${order.id}`);
      await page.locator(".units input").first().check();
    },
  },
  {
    name: "desk-product", looks: ["desktop"], shop: () => stocked(null), async show(page, world) {
      await ordered(world);
      await at(page, world, "products/kettle-copper");
      await sees(page, "Let out of quarantine");
    },
  },
  {
    name: "desk-unit", looks: ["desktop"], shop: () => stocked(null), async show(page, world) {
      const [order] = await ordered(world);
      await at(page, world, `units/${order.lines[0].unit_ids[0]}`);
      await sees(page, /into quarantine/);
    },
  },
  {
    name: "desk-no-answer", looks: ["desktop"], shop: () => flash(), async show(page, world) {
      await at(page, world, `sales/${world.saleId}`);
      await sees(page, "Units by place");
      await world.stop();
      await sees(page, "No answer from the service");
    },
  },
].map((state) => ({ path: "/desk", looks: ["desktop", "desktop-dark"], context: { locale: "en-GB", timezoneId: "Europe/Lisbon" }, ...state }));
