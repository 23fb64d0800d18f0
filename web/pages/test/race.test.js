import assert from "node:assert/strict";
import { test } from "node:test";
import { newWorld } from "../../client/test/world.js";
import { button, sees, visit } from "./browser.js";
import { product } from "./shop.js";

test("20 browsers race for 5 units while 500 others shop: what each page says is what the database says", async () => {
  const world = await newWorld();
  await product(world, "mug", 5);
  const crowd = world.rehearse(500);
  const visits = await Promise.all(Array.from({ length: 20 }, () => visit(world, "/products/mug")));
  await Promise.all(visits.map(({ page }) => button(page, /Add to cart/).waitFor()));
  const outcomes = await Promise.all(visits.map(async ({ page }) => {
    await button(page, /Add to cart/).click({ timeout: 5000 }).catch(() => {}); // gone before this one came to it
    // Until this page's own answer has come.
    await page.waitForFunction(() => {
      const text = document.querySelector("main")?.innerText ?? "";
      return !/Asking|You are in line/.test(text) && /in your cart|All in other/.test(text);
    });
    const text = await page.locator("main").innerText();
    return text.includes("in your cart") ? "held" : "none";
  }));
  await crowd;
  const inDatabase = await world.count("SELECT count(*) FROM claim JOIN product USING (product_id) WHERE sku = 'mug' AND status = 'held'");
  assert.equal(inDatabase, 5);
  assert.equal(outcomes.filter((o) => o === "held").length, 5);
  // Each page shows what its own buyer has, and no page shows stock that is not there.
  for (const [i, { page, faults }] of visits.entries()) {
    await sees(page, outcomes[i] === "held" ? /All in carts, 1 of them in yours/ : /All in other carts/);
    const holder = await page.evaluate(() => JSON.parse(atob(JSON.parse(localStorage.getItem("lastunit.guest") ?? "null")?.token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/") ?? "bnVsbA=="))?.sub ?? "nobody");
    const has = await world.count(`SELECT count(*) FROM claim JOIN product USING (product_id) WHERE sku = 'mug' AND status = 'held' AND buyer = '${holder.replaceAll("'", "''")}'`);
    assert.equal(has, outcomes[i] === "held" ? 1 : 0);
    assert.deepEqual(faults, []);
  }
  const { page } = visits[outcomes.indexOf("held")];
  await page.goto(`${world.url}/cart`);
  await button(page, /Remove/).click();
  await sees(visits[outcomes.indexOf("none")].page, "Only 1 left");
});
