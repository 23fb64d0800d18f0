import assert from "node:assert/strict";
import { test } from "node:test";
import { axe } from "./axe.js";
import { visit } from "./browser.js";
import { deskStates } from "./desk-states.js";
import { states } from "./states.js";

for (const { name, shop, path, show } of [...states, ...deskStates]) {
  test(`${name}: no serious finding in light and dark, nothing wider than a phone`, async () => {
    const world = await shop();
    const { page, faults } = await visit(world, path);
    await show(page, world);
    const scheme = (colorScheme) => page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await scheme("dark");
    assert.deepEqual((await axe(page, "color-contrast")).grave, [], "dark"); // only the colours differ
    await scheme("light");
    assert.deepEqual((await axe(page)).grave, [], "light");
    await page.setViewportSize({ width: 360, height: 740 });
    assert.deepEqual((await axe(page)).grave, [], "phone");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it scrolls sideways on a phone");
    assert.deepEqual(faults, []);
  });
}
