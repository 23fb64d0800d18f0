// What the desk reckons: pure functions, loaded as Vite builds them.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

const vite = await createServer({ root: fileURLToPath(new URL("..", import.meta.url)), configFile: fileURLToPath(new URL("../vite.config.js", import.meta.url)), server: { middlewareMode: true, ws: false, watch: null }, optimizeDeps: { noDiscovery: true }, appType: "custom", logLevel: "error" });
after(() => vite.close());
globalThis.location = { hash: "" };
const { follow, outlook, perSecond, result, sharpen } = await vite.ssrLoadModule("/desk/figures.ts");
const { look } = await vite.ssrLoadModule("/desk/checks.ts");
const { duration, countdown } = await vite.ssrLoadModule("/desk/time.ts");
const { share, toMinor } = await vite.ssrLoadModule("/desk/format.ts");

const start = Date.parse("2026-12-12T12:12:00Z");
const at = (second) => new Date(start + second * 1000).toISOString();
const sample = (second, more) => ({ at: at(second), seconds: 1, available: 0, held: 0, ordered: 0, sold: 0, queued: 0, claims: 0, units: 0, refusals: {}, latency_ms: null, ...more });

/** A course whose stock goes from the first to the last of available, a sample each second. */
function course(available, more = () => ({})) {
  const samples = available.map((n, i) => sample(i, { available: n, held: 100 - n, ...more(i) }));
  const last = samples.at(-1);
  return { now: { now: last.at, state: "open", queued: 0, samples: [], items: [{ sku: "a", available: last.available, held: last.held, ordered: 0, sold: 0 }] }, samples };
}

test("time to sell-out is what is left, at the net rate of the last 30 s", () => {
  const next = outlook(course(Array.from({ length: 61 }, (_, i) => 100 - i), () => ({ claims: 2 })));
  assert.equal(next.seconds, 40);
  assert.equal(next.words, "40 units left, going at 1 a second: 30 units fewer in the last 30 s, what came back subtracted.");
});

test("without sales, and while as many come back, it is not known", () => {
  assert.deepEqual(outlook(course(Array(60).fill(50))), { seconds: null, short: "Not known", words: "No sales in the last 30 s." });
  assert.equal(outlook(course(Array(60).fill(50), () => ({ claims: 1 }))).short, "Not falling");
  assert.equal(outlook(course([50], () => ({ claims: 9 }))).short, "Not known");
});

test("what is all taken may still come back; what is sold does not", () => {
  assert.equal(outlook(course([1, 0])).short, "All taken");
  const sold = course([1, 0]);
  sold.now.items = [{ sku: "a", available: 0, held: 0, ordered: 0, sold: 100 }];
  assert.equal(outlook(sold).short, "Sold out");
});

test("rates are of the seconds that samples cover, however long they are", () => {
  const c = course([90, 80, 70]);
  c.samples = [sample(0, { seconds: 5, claims: 10 }), sample(2, { seconds: 2, claims: 4 })];
  assert.equal(perSecond(c, (s) => s.claims), 2);
});

test("samples are told once, and a long course is sharp at its end", () => {
  const a = sample(1, { sold: 1 });
  const b = sample(2, { sold: 2 });
  assert.deepEqual(follow(follow(undefined, { samples: [a] }), { samples: [a, b] }).samples, [a, b]);
  const whole = { samples: [sample(600, { seconds: 600 }), sample(1200, { seconds: 600 })] };
  const fine = { samples: [sample(900), sample(901)] };
  assert.deepEqual(sharpen(whole, fine).samples.map((s) => s.at), [at(600), at(900), at(901)]);
});

test("the result counts what was offered before it closed, and when it was gone", () => {
  const samples = [sample(1, { available: 10 }), sample(5, { available: 0, held: 8, sold: 2, claims: 10, units: 10, refusals: { "all-held": 3 } }), sample(100, { sold: 10, refusals: { "all-held": 1, "sale-ended": 2 } })];
  const of = result(samples, { opens_at: at(0), closes_at: at(60) });
  assert.deepEqual(of, { claims: 10, units: 10, refusals: [["all-held", 4], ["sale-ended", 2]], offered: 10, goneAfterMs: 5000, peak: 10 });
});

test("a plan is looked over: its stock, its prices, its times, other sales", () => {
  const product = (more) => ({ sku: "a", selling: true, price: { amount: 1000, currency: "EUR" }, availability: { available: 5, capped: false, status: "available", next_release_at: null }, ...more });
  const plan = (more) => ({ id: null, status: "draft", opens_at: at(60), closes_at: at(3600), hold_seconds: 60, purchase_limit: 2, max_quantity: 2, items: [{ sku: "a", price: { amount: 900, currency: "EUR" }, quantity: null }], ...more });
  const texts = (p, products = [product()], sales = []) => look(p, new Map(products.map((one) => [one.sku, one])), sales, start).map((f) => `${f.wrong ? "wrong" : "mind"}: ${f.text}`);
  assert.deepEqual(texts(plan()), []);
  assert.deepEqual(texts(plan({ closes_at: at(30) })).slice(0, 1), ["wrong: It closes before it opens."]);
  assert.deepEqual(texts(plan({ opens_at: at(-30) })), ["mind: Its opening has passed: it opens as soon as it is scheduled."]);
  assert.deepEqual(texts(plan(), [product({ availability: { available: 0, capped: false, status: "sold_out", next_release_at: null } })]), ["wrong: a has no stock. Receive some first."]);
  assert.match(texts(plan({ items: [{ sku: "a", price: { amount: 1100, currency: "EUR" }, quantity: 6 }] })).join(), /has 5 to be had, of the 6.*costs more/);
  assert.match(texts(plan({ max_quantity: 9 })).join(), /a buyer may have 2/);
  const other = { ...plan({ id: "x", status: "scheduled", opens_at: at(100), closes_at: at(200) }), name: "other" };
  assert.match(texts(plan(), [product()], [other]).join(), /^wrong: a is in another sale at the same time/);
  assert.deepEqual(texts(plan(), [product()], [{ ...other, opens_at: at(3600), closes_at: at(7200) }]), []);
});

test("durations, shares and amounts as one reads and writes them", () => {
  assert.deepEqual([0, 4000, 724_000, 3600_000, 183_600_000].map(duration), ["0 s", "4 s", "12 min 4 s", "1 h", "2 d 3 h"]);
  assert.equal(countdown(93_784_000), "1 d 02:03:04");
  assert.deepEqual([share(0, 0), share(1, 3), share(99_999, 100_000), share(2, 2)], ["–", "33.3 %", "99.9 %", "100 %"]);
  assert.deepEqual([toMinor("12.9", "EUR"), toMinor("12,90", "EUR"), toMinor("500", "JPY")], [1290, 1290, 500]);
  assert.ok(["", "1.234", "-1", "abc"].every((text) => Number.isNaN(toMinor(text, "EUR"))));
});
