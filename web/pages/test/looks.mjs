// Looks at the pages in each of their states: `node looks.mjs screenshots FOLDER` takes pictures, `node looks.mjs figures` measures.
// web/looks_test.go serves the worlds.
import { mkdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { axe } from "./axe.js";
import { launch, visit } from "./browser.js";
import { deskStates } from "./desk-states.js";
import { states as shopStates } from "./states.js";

const [, , what, folder] = process.argv;
const wanted = new RegExp(process.env.LASTUNIT_STATES ?? ""); // of their names
const states = [...shopStates, ...deskStates].filter(({ name }) => wanted.test(name));
const looks = {
  desktop: { viewport: { width: 1280, height: 880 }, colorScheme: "light" },
  "desktop-dark": { viewport: { width: 1280, height: 880 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", hasTouch: true },
  "phone-dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true },
};

async function screenshots() {
  await mkdir(folder, { recursive: true });
  for (const [i, { name, shop, path, show, context: visitor, ...state }] of states.entries()) {
    const every = name === "open";
    for (const look of state.looks ?? (every ? Object.keys(looks) : [i % 2 ? "desktop-dark" : "desktop", i % 2 ? "phone" : "phone-dark"])) {
      const world = await shop();
      const { page, context } = await visit(world, path, { ...looks[look], ...visitor });
      await show(page, world);
      await page.waitForFunction(() => [...document.images].every((image) => image.complete));
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: `${folder}/${name}-${look}.png`, fullPage: true });
      await context.close();
    }
  }
}

const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);

async function figures() {
  const dist = new URL("../../dist/", import.meta.url);
  console.log("page        script      gzip     style      gzip");
  for (const [page, file] of [["storefront", "index.html"], ["desk", "desk/index.html"]]) {
    const names = [...(await readFile(new URL(file, dist), "utf8")).matchAll(/\/(assets\/[^"]+\.(js|css))"/g)];
    const sum = { js: [0, 0], css: [0, 0] };
    for (const [, name, kind] of names) {
      const body = await readFile(new URL(name, dist));
      sum[kind][0] += body.length;
      sum[kind][1] += gzipSync(body, { level: 9 }).length;
    }
    console.log(page.padEnd(10), kB(sum.js[0]), kB(sum.js[1]), kB(sum.css[0]), kB(sum.css[1]));
  }
  console.log("\nstate            first paint   axe: serious   lesser");
  for (const { name, shop, path, show } of states) {
    const world = await shop();
    const { page, context } = await visit(world, path);
    await show(page, world);
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN);
    const { grave, lesser } = await axe(page);
    console.log(name.padEnd(16), `${Math.round(paint)} ms`.padStart(11), String(grave.length).padStart(14), String(lesser.length).padStart(8), [...grave, ...lesser].join("; "));
    await context.close();
  }
}

await (what === "screenshots" ? screenshots() : figures());
await (await launch()).close();
