import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as lastunit from "lastunit";
import {
  cancel, changeSale, checkout, claim, claimQueued, closeSale, confirm, createClient, deleteProduct, each, exportOrders, extend, getAudit, getCart, getOrder, getProduct,
  getSale, getSelling, getStock, getTransaction, getUnit, importSheet, isProblem, listEvents, listOrders, listProducts, listSales, live, openSale, outcome, pauseSale, pauseSelling, pay,
  planSale, putProduct, ready, receive, refund, release, releaseQuarantine, remaining, resumeSale, resumeSelling, runAudit, saleChanges, scheduleSale, serverNow, watchTransaction, withdraw,
} from "lastunit";
import { between } from "./between.js";
import { newWorld } from "./world.js";

const world = await newWorld();
const { operator } = world;

test("every operation of openapi.yaml is a function, but what Stripe alone calls", () => {
  const document = readFileSync(new URL("../../../openapi.yaml", import.meta.url), "utf8");
  const ids = [...document.matchAll(/^ +operationId: (\w+)$/gm)].map((m) => m[1]).filter((id) => id !== "stripeWebhook");
  assert.ok(ids.length > 40);
  assert.deepEqual(ids.filter((id) => typeof lastunit[id] !== "function"), []);
});

test("the version is that of the API", () => {
  const document = readFileSync(new URL("../../../openapi.yaml", import.meta.url), "utf8");
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(version.split(".")[0], document.match(/^ {2}version: "(\d+)"$/m)[1]);
});

test("a buyer claims, orders and pays", async () => {
  await world.stocked("buy", 5);
  const buyer = world.buyer();
  const one = await claim(buyer, { sku: "buy", quantity: 2, metadata: { gift: true } });
  assert.equal(one.status, "held");
  assert.equal(one.unit_ids.length, 2);
  const other = await claimQueued(buyer, { sku: "buy" }, { wait: 10 });
  assert.equal(other.status, "held");
  assert.deepEqual(await getTransaction(buyer, one.id), one);
  const third = await claim(buyer, { sku: "buy" });
  assert.equal(await release(buyer, third.id), undefined);
  const cart = await getCart(buyer);
  assert.deepEqual(cart.items.map((t) => t.id).sort(), [one.id, other.id].sort());
  // The service tells its clock in whole seconds (Date), so that it is known to half of one.
  assert.ok(remaining(buyer, cart.next_expiry) > 500_000 && remaining(buyer, cart.next_expiry) <= 600_500);
  const order = await checkout(buyer, { reference: "cart 1" });
  assert.equal(order.status, "awaiting_payment");
  const declined = await outcome(pay(buyer, order.id, { card: "decline" }));
  assert.equal(!declined.ok && declined.problem.code, "payment-failed");
  assert.equal((await pay(buyer, order.id, { card: "succeed" })).status, "paid");
  assert.equal((await getOrder(buyer, order.id)).payment.status, "succeeded");
  await claim(buyer, { sku: "buy" });
  const second = await checkout(buyer);
  assert.equal((await cancel(buyer, second.id)).status, "cancelled");
  const states = [];
  for await (const o of each(listOrders, buyer, { limit: 1 })) {
    states.push(o.status);
  }
  assert.deepEqual(states, ["cancelled", "paid"]);
});

test("a back end acts for a buyer", async () => {
  await world.stocked("beside", 3);
  const forAnn = createClient({ baseUrl: world.url, token: world.key, buyer: "ann" });
  const tx = await claim(forAnn, { sku: "beside" });
  assert.ok(Date.parse((await extend(forAnn, tx.id, { seconds: 60 })).expires_at) - Date.parse(tx.expires_at) === 60_000);
  assert.equal((await watchTransaction(operator, tx.id, { buyer: "ann" })).status, "held");
  const order = await confirm(operator, { transaction_ids: [tx.id], reference: "shop 1" });
  assert.deepEqual([order.status, order.buyer], ["paid", "ann"]);
  const bobs = await claim(forAnn, { sku: "beside" }, { buyer: "bob" });
  assert.ok(isProblem(await getTransaction(forAnn, bobs.id).catch((e) => e), "not-found"));
});

test("operators keep the stock", async () => {
  const sku = "kept/?&#"; // has to be escaped on its way, and is refused for what it is
  assert.ok(isProblem(await getProduct(operator, sku).catch((e) => e), "validation", "not-found"));
  await putProduct(operator, "kept", { name: "Kept", rehearsal: true });
  assert.equal((await receive(operator, "kept", { quantity: 5, reference: "delivery 1" })).quantity, 5);
  assert.equal((await withdraw(operator, "kept", { quantity: 1, reason: "broken" })).quantity, 1);
  assert.ok(isProblem(await releaseQuarantine(operator, "kept", { quantity: 1 }).catch((e) => e), "not-enough-units"));
  assert.deepEqual(await getStock(operator, "kept"), { received: 5, available: 4, held: 0, ordered: 0, sold: 0, quarantine: 0, withdrawn: 1 });
  const tx = await claim(operator, { sku: "kept" }, { buyer: "ann" });
  assert.equal((await getUnit(operator, tx.unit_ids[0])).place, "held");
  await release(operator, tx.id, { buyer: "ann" });
  assert.equal(await deleteProduct(operator, "kept"), undefined);
  const paid = await confirm(operator, { transaction_ids: [(await soldTo("ann")).id], reference: "to be refunded" });
  assert.equal((await refund(operator, paid.id, { restock: "quarantine" })).status, "refunded");
  const csv = await exportOrders(operator, { format: "csv", reference: "to be refunded" });
  assert.match(csv.headers.get("Content-Type"), /csv/);
  assert.match(await csv.text(), /to be refunded/);
  assert.ok((await listEvents(operator, { type: ["order.refunded"] })).items.length > 0);
  let events = 0;
  for await (const event of each(listEvents, operator, { limit: 2 })) {
    events += event.id ? 1 : 0;
  }
  assert.ok(events > 2);
});

test("operators import a sheet", async () => {
  const text = "sku,name,quantity\nimported,Imported,3\n";
  assert.deepEqual([(await importSheet(operator, text, { dry_run: true })).created, (await importSheet(operator, new Blob([text]))).units], [1, 3]);
  assert.equal((await getProduct(operator, "imported")).name, "Imported");
  const { errors } = await importSheet(operator, "sku,name,quantity\nimported,Imported,many\n").catch((e) => e);
  assert.equal(errors[0].location, "body.lines[2].quantity");
});

async function soldTo(buyer) {
  await world.stocked("sold", 1);
  return claim(operator, { sku: "sold" }, { buyer });
}

test("operators plan a sale", async () => {
  await world.stocked("planned", 4);
  const at = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString();
  const item = { sku: "planned", price: { amount: 100, currency: "EUR" } };
  const { id } = await planSale(operator, { name: "12.12", opens_at: at(1), closes_at: at(2), hold_seconds: 60, purchase_limit: 1, items: [item] });
  assert.ok(isProblem(await getSale(world.buyer(), id).catch((e) => e), "not-found"));
  assert.equal((await scheduleSale(operator, id)).status, "scheduled");
  const early = await outcome(claim(world.buyer(), { sku: "planned" }));
  assert.ok(!early.ok && early.problem.code === "sale-not-open" && Date.parse(early.problem.opens_at) > Date.now());
  assert.equal((await openSale(operator, id)).status, "open");
  assert.equal((await pauseSale(operator, id)).status, "paused");
  assert.equal((await resumeSale(operator, id)).status, "open");
  const buyer = world.buyer();
  await claim(buyer, { sku: "planned" });
  const { id: order } = await checkout(buyer);
  const more = await outcome(claim(buyer, { sku: "planned" }));
  assert.ok(!more.ok && more.problem.code === "purchase-limit");
  assert.deepEqual([more.problem.limit, more.problem.remaining, more.problem.order_ids], [1, 0, [order]]);
  assert.equal((await changeSale(operator, id, { name: "12.12, day and night" })).name, "12.12, day and night");
  assert.equal((await closeSale(operator, id)).status, "closed");
  assert.deepEqual((await saleChanges(operator, id)).items.map((c) => c.action).sort(), ["changed", "close", "created", "open", "pause", "resume", "schedule"]);
  assert.equal((await listSales(world.buyer(), { state: ["closed"] })).items.length, 1);
});

test("operators stop all selling, and audit", async () => {
  const own = await newWorld();
  assert.equal((await pauseSelling(own.operator)).paused, true);
  assert.equal((await getSelling(own.buyer())).paused, true);
  assert.equal((await resumeSelling(own.operator)).paused, false);
  const audit = await runAudit(own.operator);
  assert.equal(audit.ok, true);
  assert.equal((await getAudit(own.operator)).id, audit.id);
  assert.deepEqual(await live(own.buyer()), { status: "ok" });
  const unready = await outcome(ready(own.buyer(), { retry: false })); // the database of the tests keeps nothing over a crash
  assert.ok(!unready.ok && unready.problem.code === "busy");
});

test("products are listed", async () => {
  await world.stocked("list-a", 1);
  await world.stocked("list-b", 1);
  const nobody = createClient({ baseUrl: `${world.url}/` });
  assert.deepEqual((await listProducts(nobody, { sku: ["list-b", "list-a"] })).items.map((p) => p.sku), ["list-a", "list-b"]);
  assert.equal((await getProduct(nobody, "list-a")).availability.status, "available");
});

test("the service's clock is known to a part of a second", async () => {
  const client = createClient({ baseUrl: world.url });
  assert.ok(Math.abs(serverNow(client) - Date.now()) < 5);
  for (let i = 0; i < 30; i++) {
    await getSelling(client);
    await new Promise((done) => setTimeout(done, 35));
  }
  assert.ok(Math.abs(serverNow(client) - Date.now()) < 400, `off by ${serverNow(client) - Date.now()} ms`);
});

test("what a buyer's page sends may come from another origin", async (t) => {
  await world.stocked("origin", 1);
  const proxy = await between(t, world.url);
  const buyer = world.buyer({ baseUrl: proxy.url });
  const tx = await claimQueued(buyer, { sku: "origin" }, { wait: 10 });
  await watchTransaction(buyer, tx.id);
  await release(buyer, tx.id);
  const own = ["authorization", "buyer-id", "content-type", "idempotency-key", "last-event-id", "prefer"];
  const sent = own.filter((name) => proxy.seen.some((s) => s.headers[name]));
  for (const method of ["POST", "GET", "DELETE"]) {
    const asked = await fetch(`${world.url}/api/v1/order/addToCart`, {
      method: "OPTIONS",
      headers: { Origin: "https://shop.example", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": sent.join(",") },
    });
    assert.equal(asked.headers.get("Access-Control-Allow-Origin"), "https://shop.example");
    assert.deepEqual(asked.headers.get("Access-Control-Allow-Headers")?.toLowerCase().split(/, ?/).sort(), sent);
  }
});
