// axe, which finds what those who do not see, point or hear would stumble over.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds on a page that is serious or critical, and how many lesser things: by all of its rules, or by some. */
export async function axe(page, ...rules) {
  await page.evaluate(await source); // by the browser's tools, which the page's policy does not bind
  const { violations } = await page.evaluate(
    (rules) => globalThis.axe.run(document, { resultTypes: ["violations"], ...(rules.length > 0 && { runOnly: rules }) }),
    rules,
  );
  const grave = violations.filter((v) => ["serious", "critical"].includes(v.impact ?? ""));
  return {
    grave: grave.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join("; ")})`),
    lesser: violations.filter((v) => !grave.includes(v)).map((v) => `${v.id}: ${v.help}`),
  };
}
