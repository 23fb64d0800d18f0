import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { claim, createClient, getProduct, isProblem, listProducts, pauseSelling, release, resumeSelling, startSession, watchProduct } from "lastunit";
import { between } from "./between.js";
import { newWorld, soon, until } from "./world.js";

const world = await newWorld();

/** What listeners were told, by SKU. */
function notes() {
  const told = {};
  return { told, of: (sku) => (told[sku] ??= []), listen: (product) => (told[product.sku] ??= []).push(product.availability.available) };
}

/** A service that has nothing but the stream of products. */
async function streaming(t) {
  const streams = [];
  const server = createServer((from, to) => {
    const { pathname, searchParams } = new URL(from.url, "http://x");
    assert.equal(pathname, "/api/v1/products/events");
    const stream = {
      skus: searchParams.getAll("sku"),
      open: true,
      headers: from.headers,
      say: (sku, available) => to.write(`id: ${sku}-${available}\nevent: product\ndata: ${JSON.stringify({ sku, availability: { available } })}\n\n`),
      cut: () => from.socket.destroy(),
    };
    from.on("close", () => (stream.open = false));
    streams.push(stream);
    to.writeHead(200, { "Content-Type": "text/event-stream" });
    to.write("retry: 50\n\n");
    stream.skus.forEach((sku) => stream.say(sku, 10));
  }).listen(0, "127.0.0.1");
  t.after(() => (server.close(), server.closeAllConnections()));
  await new Promise((ready) => server.once("listening", ready));
  return { streams, open: () => streams.filter((s) => s.open), url: `http://127.0.0.1:${server.address().port}` };
}

test("with the real service: every change is told, and nothing twice", async () => {
  await world.stocked("real", 3);
  const n = notes();
  const client = createClient({ baseUrl: world.url, pollMs: 100 });
  const stop = watchProduct(client, "real", n.listen);
  await until(() => n.of("real").length === 1);
  const buyer = world.buyer();
  const tx = await claim(buyer, { sku: "real", quantity: 2 });
  await until(() => n.of("real").length === 2);
  await release(buyer, tx.id);
  await until(() => n.of("real").length === 3);
  await soon(400);
  stop();
  assert.deepEqual(n.of("real"), [3, 1, 3]);
  const before = await getProduct(client, "real");
  await claim(buyer, { sku: "real" });
  await soon(300);
  assert.equal(n.of("real").length, 3);
  assert.equal(before.availability.available, 3);
});

test("with the real service: changes come live, over one stream for all products of a page", async (t) => {
  const skus = ["live-1", "live-2", "live-3"];
  for (const sku of skus) {
    await world.stocked(sku, 5);
  }
  const proxy = await between(t, world.url);
  const told = {};
  const live = [];
  const client = createClient({ baseUrl: proxy.url });
  const stops = skus.map((sku) => watchProduct(client, sku, (p) => (told[sku] ??= []).push(p), sku === "live-1" ? { onLive: (l) => live.push(l) } : {}));
  await until(() => skus.every((sku) => told[sku]?.length === 1));
  assert.deepEqual(live, [true]);
  assert.deepEqual(skus.map((sku) => told[sku][0]), (await listProducts(client, { sku: skus })).items);
  const asked = proxy.seen.length;

  const buyer = world.buyer();
  const tx = await claim(buyer, { sku: "live-2", quantity: 5 });
  await until(() => told["live-2"].at(-1).availability.status === "all_held");
  assert.equal(told["live-2"].at(-1).availability.next_release_at, tx.expires_at);
  await release(buyer, tx.id);
  await until(() => told["live-2"].at(-1).availability.available === 5);
  const paused = performance.now();
  await pauseSelling(world.operator);
  await until(() => skus.every((sku) => told[sku].at(-1).availability.status === "paused"));
  assert.ok(performance.now() - paused < 2000);
  await resumeSelling(world.operator);
  await until(() => skus.every((sku) => told[sku].at(-1).availability.status === "available"));
  assert.equal(proxy.seen.length, asked); // nothing but the stream
  stops.forEach((stop) => stop());
  await until(() => proxy.connections() <= 1); // the one that asked for the list may be kept
});

test("with the real service: a restart in mid-watch", async () => {
  const own = await newWorld();
  await own.stocked("mug", 3);
  const n = notes();
  const live = [];
  const stop = watchProduct(createClient({ baseUrl: own.url }), "mug", n.listen, { onLive: (l) => live.push(l) });
  await until(() => n.of("mug").length === 1);
  await own.stop();
  await until(() => live.at(-1) === false);
  await own.start();
  await claim(own.buyer(), { sku: "mug" });
  await until(() => live.at(-1) === true && n.of("mug").at(-1) === 2);
  stop();
  assert.deepEqual(n.of("mug"), [3, 2]);
});

test("with the real service: a product that is not there yet is told when it is, and the others meanwhile", async () => {
  await world.stocked("old", 1);
  const n = notes();
  const client = createClient({ baseUrl: world.url, pollMs: 100 });
  const stops = ["old", "new"].map((sku) => watchProduct(client, sku, n.listen));
  await until(() => n.of("old").length === 1);
  await world.stocked("new", 4);
  await until(() => n.of("new").at(-1) === 4);
  stops.forEach((stop) => stop());
});

test("a guest comes in again where the answer was lost", async (t) => {
  const proxy = await between(t, world.url, { on: "POST /api/v1/session", do: "lose" });
  const session = await startSession(createClient({ baseUrl: proxy.url }));
  assert.match(session.buyer, /^guest-/);
  assert.equal(proxy.asked("POST /api/v1/session").length, 2);
  await world.stocked("for-guests", 1);
  const tx = await claim(createClient({ baseUrl: world.url, token: session.token }), { sku: "for-guests" });
  assert.equal(tx.status, "held");
});

test("with the real service: one question for all products of a page", async (t) => {
  const skus = ["q1", "q2", "q3", "q4", "q5"];
  for (const sku of skus) {
    await world.stocked(sku, 1);
  }
  const proxy = await between(t, world.url, { on: "GET /api/v1/products/events", always: true, status: 404, headers: { "Content-Type": "text/plain" }, body: "" });
  const n = notes();
  const client = createClient({ baseUrl: proxy.url, token: "a token that nobody needs", pollMs: 150 });
  const live = [];
  const stops = skus.map((sku) => watchProduct(client, sku, n.listen, { onLive: (l) => live.push(l) }));
  await until(() => skus.every((sku) => n.of(sku).length === 1));
  const asked = proxy.asked("GET /api/v1/products?");
  assert.equal(asked.length, 1);
  assert.equal(new URL(asked[0].line.slice(4), proxy.url).searchParams.getAll("sku").length, 5);
  assert.equal(asked[0].headers.authorization, undefined);
  await until(() => proxy.asked("GET /api/v1/products?").length >= 3);
  proxy.faults.push({ on: "GET /api/v1/products?", do: "cut" }, { on: "GET /api/v1/products?", status: 503, headers: {}, body: "" });
  await claim(world.buyer(), { sku: "q3" });
  await until(() => n.of("q3").length === 2);
  stops.forEach((stop) => stop());
  await soon(100);
  const then = proxy.seen.length;
  await soon(500);
  assert.equal(proxy.seen.length, then);
  assert.ok(!live.includes(true));
});

test("one stream for all products of a page", async (t) => {
  const service = await streaming(t);
  const client = createClient({ baseUrl: service.url });
  const n = notes();
  const live = [];
  const skus = Array.from({ length: 12 }, (_, i) => `p${i}`).sort();
  const stops = skus.map((sku) => watchProduct(client, sku, n.listen, sku === "p0" ? { onLive: (l) => live.push(l) } : {}));
  await until(() => skus.every((sku) => n.of(sku).length === 1));
  assert.deepEqual(service.streams.map((s) => s.skus), [skus]);
  service.streams[0].say("p3", 9);
  service.streams[0].say("p4", 10); // as it was
  await until(() => n.of("p3").length === 2);
  assert.deepEqual(n.of("p4"), [10]);

  // A second listener of the same product is told what is known, and needs no connection.
  const second = notes();
  const stopSecond = watchProduct(client, "p3", second.listen);
  assert.deepEqual(second.told, {});
  await until(() => second.of("p3").length === 1);
  assert.deepEqual(second.of("p3"), [9]);
  assert.equal(service.streams.length, 1);
  stopSecond();

  // Another product: a new stream with all of them, instead of the old.
  const gone = new AbortController();
  watchProduct(client, "more", n.listen, { signal: gone.signal });
  await until(() => n.of("more").length === 1 && service.open().length === 1);
  assert.deepEqual(service.open()[0].skus, ["more", ...skus]);
  assert.equal(service.streams.length, 2);

  // What is no longer watched is no longer told, and the last one to go hangs up.
  gone.abort();
  stops[skus.indexOf("p3")]();
  service.open()[0].say("more", 1);
  service.open()[0].say("p3", 1);
  service.open()[0].say("p5", 1);
  await until(() => n.of("p5").includes(1));
  assert.ok(!n.of("more").includes(1) && !n.of("p3").includes(1));
  stops.forEach((stop) => stop());
  await until(() => service.open().length === 0);
  await soon(200);
  assert.equal(service.streams.length, 2);
  assert.deepEqual(live, [true, false, true]);

  // And it can begin again.
  const stop = watchProduct(client, "p3", n.listen);
  await until(() => service.open().length === 1 && n.of("p3").at(-1) === 10);
  stop();
});

test("a stream that breaks is opened anew", async (t) => {
  const service = await streaming(t);
  const n = notes();
  const live = [];
  const stop = watchProduct(createClient({ baseUrl: service.url }), "mug", n.listen, { onLive: (l) => live.push(l) });
  for (let i = 1; i <= 3; i++) {
    await until(() => service.open().length === 1 && service.streams.length === i);
    service.streams[i - 1].say("mug", i);
    await until(() => n.of("mug").includes(i));
    service.streams[i - 1].cut();
  }
  await until(() => service.streams.length === 4 && n.of("mug").at(-1) === 10);
  stop();
  assert.deepEqual(n.of("mug"), [10, 1, 10, 2, 10, 3, 10]);
  assert.deepEqual(live.slice(0, 6), [true, false, true, false, true, false]);
});

test("more than a hundred products take a stream for each hundred", async (t) => {
  const service = await streaming(t);
  const n = notes();
  const client = createClient({ baseUrl: service.url });
  const stops = Array.from({ length: 150 }, (_, i) => watchProduct(client, `many-${i}`, n.listen));
  await until(() => Object.keys(n.told).length === 150);
  assert.deepEqual(service.streams.map((s) => s.skus.length).sort(), [100, 50]);
  stops.forEach((stop) => stop());
});

test("what can't be a SKU ends with an error", async () => {
  const errors = [];
  watchProduct(createClient({ baseUrl: world.url }), "no SKU", () => {}, { onError: (e) => errors.push(e) });
  await until(() => errors.length > 0);
  assert.ok(isProblem(errors[0], "validation"), String(errors[0]));
});

test("a signal that is aborted already watches nothing", async (t) => {
  const service = await streaming(t);
  watchProduct(createClient({ baseUrl: service.url }), "mug", () => {}, { signal: AbortSignal.abort() })();
  await soon(100);
  assert.equal(service.streams.length, 0);
});
