// A real browser before a real service.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, afterEach } from "node:test";
import { chromium } from "playwright-core";

const places = [
  process.env.LASTUNIT_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** As long as a busy machine may take. */
export const patience = 60_000;

let browser;
const contexts = new Set();

if (process.env.NODE_TEST_CONTEXT) { // where tests run, and not where pages are looked at
  afterEach(async () => {
    await Promise.all([...contexts].map((context) => context.close()));
    contexts.clear();
  });
  after(async () => (await browser)?.close());
}

export async function launch() {
  if (!browser) {
    const executablePath = places.find((place) => place && existsSync(place));
    assert.ok(executablePath, "there is no Chromium: tools/prerequisites.sh chromium says how to get one");
    browser = chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  }
  return browser;
}

/**
 * Opens a page of a world, as a guest of a browser of its own, or with a token. faults() is what no page may ever do: break its security
 * policy, ask another origin, throw.
 */
export async function visit(world, path = "/", { token, ...options } = {}) {
  const context = await (await launch()).newContext({ viewport: { width: 1100, height: 900 }, reducedMotion: "reduce", ...options });
  contexts.add(context);
  context.setDefaultTimeout(patience);
  const faults = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  context.on("request", (request) => {
    if (!request.url().startsWith(world.url) && !request.url().startsWith("data:")) faults.push(`asks ${request.url()}`);
  });
  context.on("weberror", (error) => faults.push(String(error.error())));
  context.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  const page = await context.newPage();
  await page.goto(world.url + path + (token ? `#token=${token}` : ""));
  return { page, context, faults };
}

/** Waits until the page says so. */
export async function sees(page, text) {
  await page.getByText(text).filter({ visible: true }).first().waitFor();
}

export const button = (page, name) => page.getByRole("button", { name }).first();
export const link = (page, name) => page.getByRole("link", { name }).first();

/** Fills the cart with one and waits until it is there. */
export async function addToCart(page, name = /Add to cart/) {
  await button(page, name).click();
  await link(page, "View cart").waitFor();
}
