import assert from "node:assert/strict";
import { axe } from "./axe.js";
import { visit } from "./browser.js";

/** What a test of a state is called. */
export const accessible = (name) => `${name}: no serious finding in light and dark, nothing wider than a phone`;

/** Holds a state of the pages against axe, and against a phone's width. */
export async function access({ shop, path, show }) {
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
}
