// What operators do at the desk, and what of it buyers see.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkout, claim, getOrder, getStock, getUnit, listOrders, listSales, pay, refund } from "lastunit";
import { newWorld } from "../../client/test/world.js";
import { button, link, sees, visit } from "./browser.js";
import { product, sale } from "./shop.js";

/** Opens the desk with a key, at a view. */
async function desk(world, view = "", { key = world.key, ...options } = {}) {
  const visited = await visit(world, `/desk#key=${key}`, options);
  await visited.page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  if (view) {
    await visited.page.goto(`${world.url}/desk#/${view}`);
  }
  return visited;
}

const answer = (page, yes) => page.getByRole("dialog").getByRole("button", { name: yes }).click();
const status = (page, state) => page.getByRole("heading", { level: 1 }).getByText(state, { exact: true }).waitFor();
const done = (page, text) => page.locator(".notices").getByText(text).waitFor();

/** An order of so many units, paid. */
async function bought(world, sku, quantity, buyer = world.buyer()) {
  await claim(buyer, { sku, quantity });
  const { id } = await checkout(buyer);
  return pay(buyer, id, { card: "succeed" });
}

test("plan, schedule, open and pause from the desk: an open shop page sees the pause within 2 s", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const { page, faults } = await desk(world);
  await link(page, "Plan a sale").click();
  await page.getByLabel("Name").fill("12.12 at midnight");
  await page.getByLabel("Product", { exact: true }).selectOption("clock");
  await page.getByLabel("Price in the sale").fill("12.50");
  await page.getByLabel("Set aside").fill("3");
  await button(page, "Save as a draft").click();
  await status(page, "draft");
  await done(page, "Planned 12.12 at midnight as a draft, which only operators see.");

  await button(page, "Schedule …").click();
  await answer(page, "Schedule it");
  await status(page, "scheduled");
  await button(page, "Open now …").click();
  await answer(page, "Open it now");
  await status(page, "open");
  const [planned] = (await listSales(world.operator, { state: ["open"] })).items;
  assert.deepEqual([planned.items[0].price, planned.items[0].quantity, planned.purchase_limit], [{ amount: 1250, currency: "EUR" }, 3, 2]);

  const shop = await visit(world, "/products/clock");
  await button(shop.page, /Add to cart/).waitFor();
  await button(page, "Pause").click();
  const began = performance.now();
  await shop.page.getByRole("button", { name: "Paused" }).waitFor({ timeout: 2000 });
  console.log(`# seen ${Math.round(performance.now() - began)} ms after the click`);
  await status(page, "paused");
  await button(page, "Resume").click();
  await button(shop.page, /Add to cart/).waitFor();
  await sees(page, "12.12 at midnight goes on.");
  for (const said of ["Planned", "Scheduled", "Opened", "Paused", "Resumed"]) {
    await page.locator(".log").getByText(said, { exact: true }).waitFor();
  }
  await button(page, "Close …").click();
  await answer(page, "Leave it");
  await button(page, "Close …").click();
  await answer(page, "Close it");
  await status(page, "closed");
  assert.deepEqual([...faults, ...shop.faults], []);
});

test("what the service finds wrong with a plan stands at its field", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const { page } = await desk(world, "sales/new");
  await page.getByLabel("Name").fill("Backwards");
  await page.getByLabel("Product", { exact: true }).selectOption("clock");
  await page.getByLabel("Opens").fill("2031-01-02T10:00");
  await page.getByLabel("Closes").fill("2031-01-01T10:00");
  await sees(page, "It closes before it opens.");
  await button(page, "Save as a draft").click();
  const closes = page.getByLabel("Closes");
  await page.locator("[aria-invalid=true]").waitFor();
  assert.equal(await closes.getAttribute("aria-invalid"), "true");
  assert.match(await page.locator(`[id="${await closes.getAttribute("aria-describedby")}"]`).innerText(), /must be after opens_at/i);
});

test("a key without a scope: the part says which is missing and how to get it, the rest works", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const order = await bought(world, "clock", 1);
  await sale(world, "clock");
  const { page, faults } = await desk(world, "", { key: await world.keyWith("order", "stock") });
  for (const scope of ["sale", "audit"]) {
    await page.locator(`[data-scope=${scope}]`).first().waitFor();
    await page.getByText(`--scope ${scope}`).first().waitFor();
  }
  assert.equal(await page.getByRole("button", { name: /Pause|Audit/ }).count(), 0);
  await link(page, "Orders").click();
  await link(page, `…${order.id.slice(-8)}`).click();
  await page.getByRole("heading", { name: "Take units back" }).waitFor();
  await page.goto(`${world.url}/desk#/products/clock`);
  await page.locator(".by-place").getByText("4", { exact: true }).waitFor();
  assert.deepEqual(faults, []);
});

test("the key leaves the address, stays in the tab, and is forgotten on signing out; others are turned away", async () => {
  const world = await newWorld();
  const { page } = await desk(world);
  assert.ok(!page.url().includes(world.key));
  await page.reload();
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  await button(page, "Sign out").click();
  await page.getByLabel("API key").fill(world.token("ada"));
  await button(page, "Sign in").click();
  await sees(page, "A buyer's token does not open the desk.");
  await page.getByLabel("API key").fill("lu_nobody");
  await button(page, "Sign in").click();
  await sees(page, "This API key does not exist or was revoked.");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test("a unit of an order is refunded, once, and its life tells so", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const order = await bought(world, "clock", 2);
  const { page } = await desk(world, `orders/${order.id}`);
  const unit = order.lines[0].unit_ids[0];
  await page.getByLabel(unit).first().check();
  await page.getByLabel("To quarantine").check();
  await button(page, /^Refund 1 unit/).click();
  await page.getByRole("dialog").getByText("€20.00 goes back to").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Refund 1 unit" }).dblclick();
  await done(page, /Took 1 unit back/);
  const now = await getOrder(world.operator, order.id);
  assert.deepEqual([now.lines[0].returned_unit_ids, now.status, now.refunded.amount], [[unit], "paid", 2000]);
  assert.deepEqual((({ sold, quarantine }) => ({ sold, quarantine }))(await getStock(world.operator, "clock")), { sold: 1, quarantine: 1 });
  await page.getByRole("link", { name: `Life of the unit ${unit}` }).click();
  await page.locator(".life-of").getByText("quarantine", { exact: true }).waitFor();
  assert.equal(await page.locator("ol.life > li").count(), (await getUnit(world.operator, unit)).life.length);
});

test("stock is received by quantity and by serial, once for a double click, withdrawn and let out of quarantine after a question", async () => {
  const world = await newWorld();
  await product(world, "clock", 0);
  const { page, faults } = await desk(world, "products/clock");
  const receiving = page.getByRole("region", { name: "Receive units" });
  await receiving.getByLabel("Quantity").fill("7");
  await receiving.getByLabel("Reference").fill("delivery 4711");
  await receiving.getByRole("button", { name: "Receive" }).dblclick();
  await done(page, "Received 7 units of clock (delivery 4711). They can be claimed.");
  await receiving.getByLabel("By serial").check();
  await receiving.getByLabel("Serials").fill("A-1\nA-2, A-3\n");
  await receiving.getByRole("button", { name: "Receive" }).click();
  await done(page, /Received 3 units/);
  const withdrawing = page.getByRole("region", { name: "Withdraw units" });
  await withdrawing.getByLabel("Quantity").fill("2");
  await withdrawing.getByLabel("Reason").fill("broken in transport");
  await withdrawing.getByRole("button", { name: "Withdraw …" }).click();
  await answer(page, "Withdraw 2 units");
  await done(page, /Withdrew 2 units/);
  const { received, available, withdrawn } = await getStock(world.operator, "clock");
  assert.deepEqual({ received, available, withdrawn }, { received: 10, available: 8, withdrawn: 2 });
  await withdrawing.getByLabel("Quantity").fill("100");
  await withdrawing.getByRole("button", { name: "Withdraw …" }).click();
  await answer(page, "Withdraw 100 units");
  await withdrawing.getByRole("alert").waitFor();

  const order = await bought(world, "clock", 3);
  await refund(world.operator, order.id, { restock: "quarantine" });
  const releasing = page.getByRole("region", { name: "Let out of quarantine" });
  await releasing.getByLabel("Quantity").fill("2");
  await releasing.getByRole("button", { name: "Let out …" }).click();
  await answer(page, "Let them out");
  await done(page, "Let 2 units of clock out of quarantine. They can be claimed.");
  assert.equal((await getStock(world.operator, "clock")).quarantine, 1);
  assert.deepEqual(faults, []);
});

test("the audit's line is green, and red when something does not add up", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const id = await sale(world, "clock");
  const { page } = await desk(world, `sales/${id}`);
  await sees(page, "No audit has been run yet.");
  await button(page, "Audit its product now").click();
  await page.locator(".verdict.good").getByText("Adds up.").waitFor();
  await world.count("WITH broken AS (UPDATE receipt SET quantity = quantity + 1 RETURNING 1) SELECT count(*) FROM broken");
  await button(page, "Audit its product now").click();
  await page.locator(".verdict.bad").getByText("1 check found something wrong.").waitFor();
  await sees(page, /6 units were received with the receipt .*, but there are 5/);
});

test("a sale at a glance: its numbers follow, also after the service was away, and meanwhile they are called stale", async () => {
  const world = await newWorld();
  await product(world, "clock", 9);
  const id = await sale(world, "clock");
  const { page, faults } = await desk(world, `sales/${id}`);
  const number = (place, n) => page.locator(`.numbers .${place}`).getByText(String(n), { exact: true }).waitFor();
  await number("available", 9);
  const buyer = world.buyer();
  await claim(buyer, { sku: "clock", quantity: 2 });
  await number("held", 2);
  const { id: orderId } = await checkout(buyer);
  await number("ordered", 2);
  await pay(buyer, orderId, { card: "succeed" });
  await number("sold", 2);
  await number("available", 7);
  await page.getByText(/^From .* available 9 to 7, held 0 to 0, ordered 0 to 0, sold 0 to 2\.$/).waitFor({ state: "attached" });
  await world.stop();
  await sees(page, "No answer from the service");
  await page.locator(".stale").first().waitFor();
  await world.start();
  await page.locator(".silence").waitFor({ state: "detached" });
  await page.locator(".stale").first().waitFor({ state: "detached" });
  assert.deepEqual(faults, []);
});

test("a planned sale is rehearsed, and its stock stays as it is", async () => {
  const world = await newWorld();
  await product(world, "clock", 20);
  const id = await sale(world, "clock", { opensIn: 3600_000, items: [{ sku: "clock", price: { amount: 1000, currency: "EUR" }, quantity: 12 }] });
  const { page, faults } = await desk(world, `sales/${id}`);
  const rehearsing = page.getByRole("region", { name: "Rehearse it" });
  await rehearsing.getByLabel("Buyers").fill("30");
  await rehearsing.getByRole("button", { name: "Rehearse now" }).dblclick();
  await rehearsing.getByText("It holds.").waitFor();
  await rehearsing.getByText("30 buyers, 12 units taken, the audit is clean").waitFor();
  assert.equal(await world.count("SELECT count(*) FROM rehearsal"), 1);
  assert.equal((await getStock(world.operator, "clock")).available, 20);
  await page.reload();
  await rehearsing.getByText("It holds.").waitFor();
  assert.deepEqual(faults, []);
});

test("orders are found by buyer and exported", async () => {
  const world = await newWorld();
  await product(world, "clock", 9);
  await bought(world, "clock", 1, world.buyer({ token: world.token("ada") }));
  await bought(world, "clock", 2, world.buyer({ token: world.token("grace") }));
  const { page } = await desk(world, "orders");
  await page.getByLabel("Buyer").fill("grace");
  await button(page, "Filter").click();
  await page.locator("td", { hasText: "ada" }).waitFor({ state: "detached" });
  await page.locator("td", { hasText: "grace" }).waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), button(page, "Export as CSV").click()]);
  const text = await file.createReadStream().then(async (stream) => (await stream.toArray()).join(""));
  const lines = text.trim().split("\n");
  assert.equal(lines.length, 2, text);
  assert.match(lines[1], /grace/);
  assert.equal((await listOrders(world.operator)).items.length, 2);
});

test("the report on a sale opens in a tab of its own, in its colours, and asks nobody for anything", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const id = await sale(world, "clock");
  await bought(world, "clock", 2);
  const { page, faults } = await desk(world, `sales/${id}`);
  await page.locator(".numbers .sold").getByText("2", { exact: true }).waitFor();
  const [tab] = await Promise.all([page.waitForEvent("popup"), button(page, "Report").click()]);
  await tab.waitForURL(/^blob:/);
  await tab.getByText("Sale report").waitFor();
  await tab.getByText("2 of 5 units were sold", { exact: false }).waitFor();
  assert.equal(await tab.evaluate(() => getComputedStyle(document.querySelector(".figures")).display), "grid", "the policy lets its style pass");
  assert.equal(await tab.evaluate(() => performance.getEntriesByType("resource").length), 0);
  await done(page, "is in a tab of its own");
  assert.deepEqual(faults.filter((fault) => !fault.startsWith("asks blob:")), []); // which is the report itself
});

test("a sheet is looked at, and imported after one question", async () => {
  const world = await newWorld();
  await product(world, "clock", 5);
  const { page, faults } = await desk(world, "products");
  const choose = (name, text) => page.getByLabel("File").setInputFiles({ name, mimeType: "text/csv", buffer: Buffer.from(text) });
  await button(page, "Import").click();
  await choose("bad.csv", "sku,name,price,currency,quantity\nclock,Clock,12,EUR,1.5\n");
  await button(page, "See what would change").click();
  await page.getByRole("alert").getByText("line 2 quantity").waitFor();
  assert.equal(await page.getByRole("button", { name: "Import …" }).count(), 0);

  await choose("goods.csv", "sku;name;price;currency;quantity\nclock;Wall clock;30;EUR;\nlamp;Lamp;12.50;EUR;7\n");
  await button(page, "See what would change").click();
  const row = (sku) => page.getByRole("region", { name: "Import" }).getByRole("row", { name: sku });
  await row("clock").getByText("price: 20.00 EUR → 30.00 EUR").waitFor();
  await row("lamp").getByText("+7").waitFor();
  await done(page, "Looked at goods.csv: nothing is changed yet.");
  assert.equal(await world.count("SELECT count(*) FROM product WHERE sku = 'lamp'"), 0);
  await button(page, "Import …").click();
  await answer(page, "Leave it");
  await button(page, "Import …").click();
  await answer(page, "Import it");
  await done(page, "Imported goods.csv: 1 product created, 1 product changed, 7 units received.");
  assert.equal((await getStock(world.operator, "lamp")).available, 7);
  await page.getByRole("link", { name: "Wall clock" }).waitFor();

  await choose("goods.csv", "sku;name;price;currency;quantity\nclock;Wall clock;30;EUR;\nlamp;Lamp;12.50;EUR;7\n");
  await button(page, "See what would change").click();
  await done(page, "Looked at goods.csv: nothing would change.");
  assert.equal(await page.getByRole("button", { name: "Import …" }).count(), 0);
  assert.deepEqual(faults, []);
});
