import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import { claimQueued, createClient, isProblem, outcome, release, watchTransaction } from "lastunit";
import { parser } from "../dist/stream.js";
import { between } from "./between.js";
import { collectGarbage, newWorld, soon, until } from "./world.js";

const world = await newWorld();

/** A request that stays queued until the product's queue goes on, with one before it. */
async function queued(sku, { stock = 5, from = world, ...options } = {}) {
  await from.stocked(sku, stock);
  await from.hold(sku);
  const before = from.buyer();
  const first = await claimQueued(before, { sku, quantity: 3 });
  const buyer = from.buyer(options);
  const tx = await claimQueued(buyer, { sku });
  const states = [];
  const watch = (more = {}) => watchTransaction(buyer, tx.id, { onChange: (t) => states.push(t.queue_position ?? t.status), ...more });
  return { tx, buyer, states, watch, leave: () => release(before, first.id), letGo: () => from.let(sku) };
}

// They mostly wait.
describe("watchTransaction", { concurrency: 8 }, () => {
  test("it tells the position, and resolves to what became of it", async (t) => {
    const proxy = await between(t, world.url);
    const q = await queued("plain", { baseUrl: proxy.url });
    const watched = q.watch();
    await until(() => q.states.includes(3));
    await q.letGo();
    const tx = await watched;
    assert.deepEqual([tx.id, tx.status, q.states.at(0), q.states.at(-1)], [q.tx.id, "held", 3, "held"]);
    assert.equal(proxy.asked("GET").length, 1);
    assert.deepEqual((await watchTransaction(q.buyer, q.tx.id)), tx); // once more, when it is long decided
  });

  test("a refusal is what became of it; what is not there is a problem", async () => {
    const q = await queued("none", { stock: 3 });
    const watched = q.watch();
    await q.letGo();
    assert.deepEqual([(await watched).status, (await watched).reason], ["refused", "all-held"]);
    const strange = await outcome(watchTransaction(world.buyer(), q.tx.id));
    assert.ok(!strange.ok && strange.problem.code === "not-found");
    assert.ok(isProblem(await watchTransaction(createClient({ baseUrl: world.url }), q.tx.id).catch((e) => e), "unauthenticated"));
  });

  test("a restart in mid-watch loses nothing", async () => {
    const own = await newWorld();
    const q = await queued("restart", { from: own });
    const watched = q.watch();
    await until(() => q.states.length > 0);
    await own.stop();
    await q.letGo();
    await soon(300);
    await own.start();
    assert.equal((await watched).status, "held");
    assert.equal(q.states.filter((s) => s === "held").length, 1);
    assert.equal(await own.count("SELECT count(*) FROM claim"), 2);
  });

  test("cut again and again, it goes on where it was", async (t) => {
    const proxy = await between(t, world.url);
    const q = await queued("cuts", { baseUrl: proxy.url });
    const watched = q.watch();
    for (let i = 1; i <= 3; i++) {
      await until(() => proxy.asked("GET").length >= i && q.states.length > 0);
      await soon(150);
      proxy.hangUp();
    }
    await q.letGo(); // with nobody watching
    assert.equal((await watched).status, "held");
    const streams = proxy.asked("GET");
    assert.ok(streams.length >= 4 && streams.every((s) => s.line.endsWith("/events")));
    assert.equal(streams[1].headers["last-event-id"], "queued-3");
    assert.equal(new Set(q.states).size, q.states.length); // nothing is told twice
  });

  test("a busy service is asked for the stream again", async (t) => {
    const busy = { on: "GET", status: 503, headers: { "Content-Type": "application/problem+json", "Retry-After": "1" }, body: '{"code":"busy","status":503,"detail":"?"}' };
    const proxy = await between(t, world.url, busy, busy, { on: "GET", do: "refuse" });
    const q = await queued("busy", { baseUrl: proxy.url });
    const watched = q.watch();
    await until(() => q.states.length > 0);
    await q.letGo();
    assert.equal((await watched).status, "held");
    assert.deepEqual([proxy.asked("GET").length, new Set(proxy.asked("GET").map((s) => s.line)).size], [4, 1]);
  });

  test("where streams are kept back it asks with wait", async (t) => {
    const proxy = await between(t, world.url, { on: "GET /api/v1/transaction/", do: "silence" }); // for ever, as by a proxy that gathers the whole answer
    const q = await queued("kept-back", { baseUrl: proxy.url });
    const watched = q.watch();
    await until(() => proxy.asked("GET").length > 0);
    await soon(300);
    collectGarbage();
    await until(() => proxy.asked("GET").some((s) => s.line.endsWith("?wait=20")));
    await q.letGo();
    assert.equal((await watched).status, "held");
    assert.equal(proxy.asked("GET").length, 2);
  });

  for (const [what, fault] of Object.entries({
    "refused by something in between": { status: 403, headers: { "Content-Type": "text/html" }, body: "no" },
    "made something else": { status: 200, headers: { "Content-Type": "text/html" }, body: "<p>" },
    "unknown": { status: 404, headers: { "Content-Type": "application/problem+json" }, body: '{"code":"not-found","status":404,"detail":"?"}' },
  })) {
    test(`where streams are ${what} it asks with wait`, async (t) => {
      const q0 = `stream-${fault.status}`;
      const proxy = await between(t, world.url);
      const q = await queued(q0, { baseUrl: proxy.url });
      proxy.faults.push({ on: `GET /api/v1/transaction/${q.tx.id}/events`, always: true, ...fault });
      const watched = q.watch();
      await until(() => proxy.asked("GET").some((s) => s.line.endsWith("?wait=20")));
      await q.letGo();
      assert.equal((await watched).status, "held");
      assert.deepEqual(q.states, [3, "held"].slice(-q.states.length));
    });
  }

  test("a stream that goes silent is opened anew", async (t) => {
    let streams = 0;
    const event = (status) => `id: ${status}\nevent: transaction\ndata: ${JSON.stringify({ id: "1", status, queue_position: null })}\n\n`;
    const server = createServer((_, to) => {
      to.writeHead(200, { "Content-Type": "text/event-stream" });
      to.write(`retry: 50\n\n${event(++streams === 1 ? "queued" : "held")}`);
    }).listen(0, "127.0.0.1");
    t.after(() => (server.close(), server.closeAllConnections()));
    await new Promise((ready) => server.once("listening", ready));
    const client = createClient({ baseUrl: `http://127.0.0.1:${server.address().port}`, silenceMs: 300 });
    assert.equal((await watchTransaction(client, "1")).status, "held");
    assert.equal(streams, 2);
  });

  test("a stream that only says that it is still there is kept", async (t) => {
    const proxy = await between(t, world.url);
    const q = await queued("quiet", { baseUrl: proxy.url, silenceMs: 3000 }); // the service of the tests speaks every second at the latest
    const watched = q.watch();
    await soon(4500); // longer than that
    await q.letGo();
    assert.equal((await watched).status, "held");
    assert.equal(proxy.asked("GET").length, 1);
  });

  test("a signal ends it and hangs up", async (t) => {
    const proxy = await between(t, world.url);
    const q = await queued("left", { baseUrl: proxy.url });
    const gone = new AbortController();
    const watched = q.watch({ signal: gone.signal });
    await until(() => q.states.length > 0);
    const reason = new Error("the page has gone");
    gone.abort(reason);
    assert.equal(await watched.catch((e) => e), reason);
    assert.equal(await q.watch({ signal: gone.signal }).catch((e) => e), reason);
    assert.equal(proxy.asked("GET").length, 1);
    await q.letGo();
  });

  test("a listener that throws ends it", async () => {
    const q = await queued("throws");
    const mine = new Error("mine");
    assert.equal(await q.watch({ onChange: () => { throw mine; } }).catch((e) => e), mine);
    await q.letGo();
  });

  test("events are parsed however they are cut", () => {
    const text = ': hello\r\nretry: 250\r\n\r\nid: 1\nevent: a\ndata: {"x":\ndata: 1}\n\ndata:no space\rid\r\revent: none\n\nid: 2\nunknown: field\ndata\n\n';
    for (let size = 1; size <= text.length; size++) {
      const seen = { id: "", retryMs: 1000 };
      const parse = parser(seen);
      const events = [];
      for (let i = 0; i < text.length; i += size) {
        events.push(...parse(text.slice(i, i + size)));
      }
      assert.deepEqual(events, [{ name: "a", data: '{"x":\n1}' }, { name: "message", data: "no space" }, { name: "message", data: "" }], `in pieces of ${size}`);
      assert.deepEqual(seen, { id: "2", retryMs: 250 });
    }
  });
});
