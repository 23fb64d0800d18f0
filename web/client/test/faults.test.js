import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, test } from "node:test";
import {
  cancel, checkout, claim, claimQueued, ConnectionError, createClient, deleteProduct, exportOrders, getCart, getProduct, getSelling, isProblem, newKey, pay, putProduct,
} from "lastunit";
import { between } from "./between.js";
import { collectGarbage, newWorld } from "./world.js";

const world = await newWorld();
const failure = (promise) => promise.then((value) => assert.fail(`it succeeded: ${JSON.stringify(value)}`), (error) => error);
const claims = (sku) => world.count(`SELECT count(*) FROM claim JOIN product USING (product_id) WHERE sku = '${sku}'`);
const problem = (code, status, headers = {}) => ({
  status,
  headers: { "Content-Type": "application/problem+json", ...headers },
  body: JSON.stringify({ type: `/problems/${code}`, title: code, status, code, detail: `It is ${code}.` }),
});

// They mostly wait.
describe("faults", { concurrency: 8 }, () => {
  // Each fault, in both ways of adding to the cart: the answer tells the one claim that there is.
  for (const [what, add] of [["claim", claim], ["claimQueued", (client, body) => claimQueued(client, body, { wait: 10 })]]) {
    for (const fault of [
      { do: "cut" }, { do: "lose" }, { do: "refuse" }, problem("busy", 503, { "Retry-After": "0" }), problem("too-many-requests", 429), problem("outcome-unknown", 503),
      { status: 502, headers: { "Content-Type": "text/html" }, body: "<h1>Bad gateway</h1>" }, { status: 503, body: "" },
    ]) {
      const name = fault.do ?? fault.status + (fault.body.includes('"code"') ? ` ${JSON.parse(fault.body).code}` : "");
      test(`${what}, twice ${name}: one claim, one key`, async (t) => {
        const sku = `${what}-${name.replaceAll(" ", "-")}`;
        await world.stocked(sku, 5);
        const proxy = await between(t, world.url, { on: "POST", ...fault }, { on: "POST", ...fault });
        const retries = [];
        const tx = await add(world.buyer({ baseUrl: proxy.url, onRetry: (error, inMs) => retries.push([error.key, error.attempts, inMs]) }), { sku, quantity: 2 });
        assert.equal(tx.status, "held");
        assert.equal(await claims(sku), 1);
        const keys = new Set(proxy.seen.map((s) => s.headers["idempotency-key"]));
        assert.deepEqual([proxy.seen.length, keys.size], [3, 1]);
        assert.deepEqual(retries.map((r) => r.slice(0, 2)), [[[...keys][0], 1], [[...keys][0], 2]]);
      });
    }
  }

  test("checkout, pay and cancel whose answers are lost are done once", async (t) => {
    await world.stocked("once", 2);
    const proxy = await between(t, world.url, ...["checkout", "pay", "cancel"].map((what) => ({ on: `POST /api/v1/order${what === "checkout" ? "/checkout" : "s/"}`, do: "lose" })));
    const buyer = world.buyer({ baseUrl: proxy.url });
    await claim(buyer, { sku: "once" });
    const order = await checkout(buyer);
    assert.equal((await pay(buyer, order.id, { card: "succeed" })).status, "paid");
    await claim(buyer, { sku: "once" });
    assert.equal((await cancel(buyer, (await checkout(buyer)).id)).status, "cancelled");
    assert.equal(proxy.faults.length, 0);
    assert.equal(await world.count(`SELECT count(*) FROM shop_order`), 2); // no other test here orders
  });

  test("a deletion whose answer is lost has been done", async (t) => {
    await putProduct(world.operator, "away", { rehearsal: true });
    const proxy = await between(t, world.url, { on: "DELETE", do: "lose" });
    assert.equal(await deleteProduct(createClient({ baseUrl: proxy.url, token: world.key }), "away"), undefined);
    assert.ok(isProblem(await failure(deleteProduct(world.operator, "away")), "not-found"));
  });

  test("Retry-After is waited for, and a little longer", async (t) => {
    const proxy = await between(t, world.url, problem("busy", 503, { "Retry-After": "1" }));
    const pauses = [];
    const began = performance.now();
    await getSelling(createClient({ baseUrl: proxy.url, onRetry: (error, inMs) => pauses.push([error.code, error.retryAfter, inMs]) }));
    assert.ok(performance.now() - began >= 1000);
    assert.deepEqual(pauses.map((p) => p.slice(0, 2)), [["busy", 1]]);
    assert.ok(pauses[0][2] >= 1000 && pauses[0][2] <= 1500);
  });

  test("Retry-After may be a date", async (t) => {
    const proxy = await between(t, world.url, problem("busy", 503, { "Retry-After": new Date(Date.now() + 3000).toUTCString() }));
    const { retryAfter } = await failure(getSelling(createClient({ baseUrl: proxy.url, timeoutMs: 1000 })));
    assert.ok(retryAfter > 1 && retryAfter <= 3, `${retryAfter}`);
  });

  test("what has to wait longer than the call may last is told at once", async (t) => {
    const proxy = await between(t, world.url, { always: true, ...problem("busy", 503, { "Retry-After": "60" }) });
    const began = performance.now();
    const error = await failure(claim(world.buyer({ baseUrl: proxy.url }), { sku: "x" }));
    assert.ok(isProblem(error, "busy") && error.retryAfter === 60 && error.attempts === 1 && error.key.length === 32);
    assert.ok(performance.now() - began < 20_000);
  });

  test("a refusal is an answer, and is not asked for again", async (t) => {
    await world.stocked("refused", 1);
    await claim(world.buyer(), { sku: "refused" });
    const proxy = await between(t, world.url);
    const buyer = world.buyer({ baseUrl: proxy.url });
    const error = await failure(claim(buyer, { sku: "refused" }));
    assert.ok(isProblem(error) && isProblem(error, "sold-out", "all-held") && !isProblem(error, "sold-out") && error instanceof Error);
    assert.equal(error.message, error.detail);
    assert.ok(Date.parse(error.next_release_at) > Date.now() && error.retryAfter > 0 && error.requestId.length > 10);
    assert.ok(isProblem(await failure(claim(buyer, { sku: "unknown" })), "not-found"));
    const invalid = await failure(claim(buyer, { sku: "refused", quantity: 0 }));
    assert.ok(isProblem(invalid, "validation") && invalid.errors[0].location === "body.quantity");
    assert.equal(proxy.seen.length, 3);
  });

  test("a fault of the service is not asked for again", async (t) => {
    const proxy = await between(t, world.url, problem("internal", 500, { "X-Request-Id": "4711" }));
    const error = await failure(getSelling(createClient({ baseUrl: proxy.url })));
    assert.ok(isProblem(error, "internal") && error.requestId === "4711" && proxy.seen.length === 1);
  });

  test("retry: false makes one attempt", async (t) => {
    const proxy = await between(t, world.url, { do: "refuse" });
    const error = await failure(getSelling(createClient({ baseUrl: proxy.url }), { retry: false }));
    assert.ok(error instanceof ConnectionError && error.status === null && error.attempts === 1 && error.cause);
  });

  test("a key that was kept asks for the same claim after a reload", async () => {
    await world.stocked("kept", 5);
    const key = newKey();
    const token = world.token("reloads");
    const first = await claim(createClient({ baseUrl: world.url, token }), { sku: "kept" }, { key });
    const again = createClient({ baseUrl: world.url, token });
    assert.deepEqual(await claim(again, { sku: "kept" }, { key }), first);
    const other = await failure(claim(again, { sku: "kept", quantity: 2 }, { key }));
    assert.ok(isProblem(other, "idempotency-key-reused") && other.key === key);
    assert.equal(await claims("kept"), 1);
    assert.notEqual(newKey(), newKey());
  });

  test("an attempt that is not answered in time is made again", async (t) => {
    await world.stocked("slow", 5);
    const proxy = await between(t, world.url, { do: "hang" });
    assert.equal((await claim(world.buyer({ baseUrl: proxy.url, attemptTimeoutMs: 2000 }), { sku: "slow" })).status, "held");
    assert.ok(proxy.seen.length >= 2);
    assert.equal(new Set(proxy.seen.map((s) => s.headers["idempotency-key"])).size, 1);
    assert.equal(await claims("slow"), 1);
  });

  test("a call ends when its time is up, and says with which key to ask", async (t) => {
    const proxy = await between(t, world.url, { do: "hang", always: true });
    const began = performance.now();
    setTimeout(collectGarbage, 100);
    const error = await failure(claim(world.buyer({ baseUrl: proxy.url }), { sku: "unanswered" }, { timeoutMs: 700, attemptTimeoutMs: 300 }));
    assert.ok(error instanceof ConnectionError && error.key === proxy.seen[0].headers["idempotency-key"], String(error));
    assert.ok(performance.now() - began < 9000);
  });

  test("a call goes on while the service restarts", async () => {
    const own = await newWorld();
    await own.stocked("up", 1);
    await own.stop();
    const buyer = own.buyer();
    const asked = claim(buyer, { sku: "up" });
    await new Promise((done) => setTimeout(done, 500));
    await own.start();
    assert.equal((await asked).status, "held");
  });

  test("a signal ends a call: before it, in it, and in the pause", async (t) => {
    const reason = new Error("the page has gone");
    const proxy = await between(t, world.url, { do: "hang" }, problem("busy", 503, { "Retry-After": "20" }));
    const client = (more) => createClient({ baseUrl: proxy.url, ...more });
    assert.equal(await failure(getSelling(client(), { signal: AbortSignal.abort(reason) })), reason);
    assert.equal(proxy.seen.length, 0);
    const inIt = new AbortController();
    setTimeout(() => inIt.abort(reason), 200);
    assert.equal(await failure(getSelling(client(), { signal: inIt.signal })), reason);
    const inPause = new AbortController();
    const began = performance.now();
    assert.equal(await failure(getSelling(client({ onRetry: () => inPause.abort(reason) }), { signal: inPause.signal, timeoutMs: 60_000 })), reason);
    const whileGettingToken = new AbortController();
    const token = () => (whileGettingToken.abort(reason), "a token");
    assert.equal(await failure(getCart(client({ token }), { signal: whileGettingToken.signal })), reason);
    assert.ok(performance.now() - began < 15_000);
    assert.equal(proxy.seen.length, 2);
  });

  test("a token that has run out is got anew, once", async () => {
    const asked = [];
    const good = world.token("renews");
    const client = createClient({ baseUrl: world.url, token: async (rejected) => (asked.push(rejected), rejected ? good : "not a token") });
    assert.deepEqual((await getCart(client)).items, []);
    assert.deepEqual(asked, [undefined, "not a token"]);
    const never = await failure(getCart(createClient({ baseUrl: world.url, token: () => "not a token" })));
    assert.ok(isProblem(never, "unauthenticated") && never.attempts === 2);
    assert.ok(isProblem(await failure(getCart(createClient({ baseUrl: world.url, token: "not a token" }))), "unauthenticated"));
    const lost = new Error("no login");
    assert.equal(await failure(getCart(createClient({ baseUrl: world.url, token: () => Promise.reject(lost) }))), lost);
  });

  test("what is not the service is told, and not asked again", async (t) => {
    const html = { headers: { "Content-Type": "text/html" }, body: "<h1>Welcome</h1>" };
    const proxy = await between(t, world.url, { status: 200, ...html }, { status: 404, ...html });
    for (const status of [200, 404]) {
      const error = await failure(getProduct(createClient({ baseUrl: proxy.url }), "mug"));
      assert.ok(error instanceof ConnectionError && error.status === status && error.attempts === 1, String(error));
    }
  });

  test("what can't be sent at all is told at once", async () => {
    assert.ok((await failure(getSelling(createClient()))) instanceof TypeError); // no page, no origin
    assert.ok((await failure(claim(world.buyer(), { sku: "x" }, { key: "two\nlines" }))) instanceof TypeError);
  });

  test("a download that is cut does not look complete", async (t) => {
    const proxy = await between(t, world.url, { do: "cut" });
    const file = await exportOrders(createClient({ baseUrl: proxy.url, token: world.key }));
    await failure(file.text());
  });

  test("a crowd does not come back at the same moment", async (t) => {
    const server = createServer((_, to) => to.writeHead(503, { "Retry-After": "1" }).end()).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await new Promise((ready) => server.once("listening", ready));
    const pauses = [];
    await Promise.all(Array.from({ length: 50 }, async () => {
      const stop = new AbortController();
      const onRetry = (_, inMs) => (pauses.push(inMs), stop.abort());
      await failure(getSelling(createClient({ baseUrl: `http://127.0.0.1:${server.address().port}`, onRetry }), { signal: stop.signal }));
    }));
    assert.equal(pauses.length, 50);
    assert.ok(Math.min(...pauses) >= 1000 && Math.max(...pauses) - Math.min(...pauses) > 200, `${pauses}`);
  });
});
