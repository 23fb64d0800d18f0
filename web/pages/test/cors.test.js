import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { newWorld } from "../../client/test/world.js";
import { launch } from "./browser.js";
import { product } from "./shop.js";

// A page of another origin, which brings the client along.
async function elsewhere() {
  const client = new URL("../../client/dist/", import.meta.url);
  const server = createServer(async (request, response) => {
    if (!request.url.endsWith(".js")) {
      response.setHeader("Content-Type", "text/html").end("<!doctype html><title>a shop</title>");
      return;
    }
    response.setHeader("Content-Type", "text/javascript").end(await readFile(new URL(`.${request.url}`, client)));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

test("a page of another origin uses the client if its origin is listed, and not if it is not", async () => {
  const [listed, unlisted] = [await elsewhere(), await elsewhere()];
  const world = await newWorld({ cors: listed });
  await product(world, "mug", 9);
  const buy = async (origin) => {
    const page = await (await launch()).newPage();
    await page.goto(origin);
    const outcome = await page.evaluate(async ({ baseUrl, token }) => {
      const { claimQueued, createClient, isProblem, remaining, watchProduct, watchTransaction } = await import("/index.js");
      const shop = createClient({ baseUrl, token, timeoutMs: 3000 });
      try {
        const asked = await claimQueued(shop, { sku: "mug", quantity: 2 });
        const { status, expires_at: until } = await watchTransaction(shop, asked.id);
        const left = await new Promise((told) => {
          const stop = watchProduct(shop, "mug", (p) => {
            told(p.availability.available);
            queueMicrotask(() => stop());
          });
        });
        const refused = await claimQueued(shop, { sku: "mug", quantity: 9 }, { wait: 5 }).catch((error) => isProblem(error) && error.code);
        return { status, left, refused, held: remaining(shop, until) > 0 };
      } catch (error) {
        return error.name;
      }
    }, { baseUrl: world.url, token: world.token("ada") });
    await page.close();
    return outcome;
  };
  assert.deepEqual(await buy(listed), { status: "held", left: 7, refused: "not-enough-units", held: true });
  assert.equal(await buy(unlisted), "ConnectionError");
  assert.equal(await world.count("SELECT count(*) FROM claim WHERE status = 'held'"), 1);
});
