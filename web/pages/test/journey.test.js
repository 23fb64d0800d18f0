import assert from "node:assert/strict";
import { test } from "node:test";
import { newWorld } from "../../client/test/world.js";
import { addToCart, button, link, sees, visit } from "./browser.js";
import { product, sale } from "./shop.js";

const sold = "SELECT count(*) FROM claim_unit JOIN claim USING (claim_id) WHERE status = 'ordered'";

test("a guest buys: from the front page to a paid order", async () => {
  const world = await newWorld();
  await product(world, "mug", 12, { description: "It is blue.", image_url: "/goods/mug-last.svg" });
  await product(world, "cup", 0, { image_url: "/nothing.png" });
  const { page, faults } = await visit(world);
  await sees(page, "12 left");
  await sees(page, "Sold out");
  await link(page, "The mug").click();
  await page.getByRole("heading", { name: "The mug", level: 1 }).waitFor();
  assert.equal(await page.title(), "The mug · lastunit");
  await page.getByLabel(/How many/).selectOption("2");
  await addToCart(page, /Add to cart/);
  await sees(page, "10 left");
  await link(page, "View cart").click();
  await page.getByRole("heading", { name: "Your cart" }).waitFor();
  await sees(page, "€40.00");
  await button(page, /Order/).click();
  await page.getByRole("heading", { name: "Pay for your order" }).waitFor();
  await page.getByRole("radio", { name: /declined/ }).check();
  await button(page, /^Pay/).click();
  await sees(page, "The payment did not go through");
  await page.getByRole("radio", { name: /works/ }).check();
  await button(page, /^Pay/).click();
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  assert.equal(await page.getByText(/^№ /).count(), 2, "each unit has its number");
  await page.reload();
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  await link(page, "Orders").click();
  await page.getByRole("link", { name: /The mug.*paid/ }).waitFor();
  assert.equal(await world.count("SELECT count(*) FROM shop_order WHERE status = 'paid'"), 1);
  assert.equal(await world.count("SELECT coalesce(sum(cardinality(unit_ids)), 0) FROM (SELECT array_agg(unit_id) AS unit_ids FROM claim_unit) AS u"), 2);
  assert.deepEqual(faults, []);
});

test("with the keyboard alone", async () => {
  const world = await newWorld();
  await product(world, "mug", 3);
  const { page, faults } = await visit(world);
  await sees(page, "Only 3 left");
  const focused = () => page.evaluate(() => document.activeElement?.closest("a, button, input, select")?.textContent ?? "");
  const tabTo = async (text) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press("Tab");
      if (text.test(await focused())) return;
    }
    assert.fail(`Tab never comes to ${text}`);
  };
  await page.keyboard.press("Tab");
  assert.match(await focused(), /Skip/);
  await tabTo(/The mug/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "The mug", level: 1 }).waitFor();
  await page.waitForFunction(() => document.activeElement?.tagName === "H1");
  await tabTo(/Add to cart/);
  await page.keyboard.press("Enter");
  await link(page, "View cart").waitFor();
  await tabTo(/View cart/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Your cart" }).waitFor();
  await tabTo(/Order and go/);
  await page.keyboard.press("Space");
  await page.getByRole("heading", { name: "Pay for your order" }).waitFor();
  await tabTo(/^Pay/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  assert.deepEqual(faults, []);
});

test("a double click buys once", async () => {
  const world = await newWorld();
  await product(world, "mug", 9);
  const { page } = await visit(world, "/products/mug");
  await button(page, /Add to cart/).dblclick();
  await sees(page, "8 left");
  await button(page, "Add another").waitFor();
  await page.goto(`${world.url}/cart`);
  await button(page, /Order/).dblclick();
  await page.getByRole("heading", { name: "Pay for your order" }).waitFor();
  await button(page, /^Pay/).dblclick();
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  assert.equal(await world.count("SELECT count(*) FROM claim"), 1);
  assert.equal(await world.count("SELECT count(*) FROM shop_order"), 1);
  assert.equal(await world.count("SELECT count(*) FROM test_charge"), 1);
});

test("refusals say what to do next", async () => {
  const world = await newWorld();
  await product(world, "shoe", 9);
  await product(world, "one", 1);
  await sale(world, "shoe");
  const { page, context } = await visit(world, "/products/shoe");
  await sees(page, "€10.00");
  await page.getByLabel(/How many/).selectOption("2");
  await addToCart(page);
  await sees(page, "as many as one person may have");
  // Another page of the same guest does not know of it yet.
  const other = await context.newPage();
  await other.route("**/api/v1/cart", (route) => route.abort());
  await other.goto(`${world.url}/products/shoe`);
  await button(other, /Add/).click();
  await sees(other, "2 for each person in this sale");
  await other.close();

  await page.goto(`${world.url}/products/one`);
  await addToCart(page);
  await sees(page, /All in carts, 1 of them in yours, next may return at/);
  const late = await visit(world, "/products/one");
  await sees(late.page, /All in other carts, next may return at/);
  await page.goto(`${world.url}/cart`);
  await button(page, /Order/).click();
  await button(page, "Cancel this order").click();
  await button(page, "Yes, cancel it").click();
  await page.getByRole("heading", { name: "This order is cancelled" }).waitFor();
  await sees(late.page, "Only 1 left");
  await late.page.goto(`${world.url}/orders/019b1234-5678-7abc-8def-0123456789ab`);
  await sees(late.page, "not yours");
  await late.page.goto(`${world.url}/nowhere`);
  await sees(late.page, "There is no such page");
  assert.deepEqual(late.faults, []);
});

test("a slow payment, and one that the page was left in", async () => {
  const world = await newWorld();
  await product(world, "mug", 9);
  const { page } = await visit(world, "/products/mug");
  await addToCart(page);
  await page.goto(`${world.url}/cart`);
  await button(page, /Order/).click();
  await page.getByRole("radio", { name: /Slow/ }).check();
  // The service is told, and its answer never comes.
  let told;
  const paid = new Promise((resolve) => (told = resolve));
  await page.route("**/pay", (route) => void route.fetch().then(told));
  await button(page, /^Pay/).click();
  await paid;
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.reload();
  await page.getByRole("heading", { name: "It is yours" }).waitFor();
  assert.equal(await world.count("SELECT count(*) FROM test_charge"), 1);
  assert.equal(await world.count(sold), 1);
});

test("an empty shop", async () => {
  const world = await newWorld();
  const { page, faults } = await visit(world);
  await sees(page, "The shelves are empty.");
  await link(page, "Cart").click();
  await sees(page, "Nothing in it yet.");
  await link(page, "Orders").click();
  await sees(page, "No orders yet.");
  assert.deepEqual(faults, []);
});

test("a shop's own token, and one that is over", async () => {
  const world = await newWorld();
  await product(world, "mug", 9);
  const { page } = await visit(world, "/products/mug", { token: world.token("ada") });
  assert.ok(!page.url().includes("token"), "the token stays out of the address");
  await addToCart(page);
  assert.equal(await world.count("SELECT count(*) FROM claim WHERE buyer = 'ada'"), 1);
  const over = await visit(world, "/products/mug", { token: world.token("ada", -3600) });
  await button(over.page, /Add to cart/).click();
  await sees(over.page, "Your visit from the shop is over");
});
