import { useSignal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { getOrder, isProblem, remaining } from "lastunit";
import type { Order } from "lastunit";
import { useEffect, useRef } from "preact/hooks";
import { count, money, times } from "../shared/money";
import { at, dateTime } from "../shared/time";
import { loadCart } from "./cart";
import { nameOfSku, product, useLive } from "./catalogue";
import { Check } from "./icons";
import { cancelOrder, payWith, unanswered } from "./orders";
import { Notice, Page, Picture, Timer, Waiting } from "./parts";
import { now, say, shop } from "./shop";
import { advice } from "./words";

export function OrderPage({ id }: { id: string }) {
  const order = useSignal<Order | null>(null);
  const problem = useSignal<unknown>(null);
  const look = async () => {
    try {
      const found = await getOrder(shop, id);
      if (order.value && order.value.status !== found.status) say(`This order is now ${stateOf(found)}.`);
      order.value = found;
      problem.value = null;
    } catch (error) {
      problem.value = error;
    }
  };
  useEffect(() => void look(), [id]);
  useWhileOpen(order, look);
  useLive([...new Set(order.value?.lines.map((l) => l.sku) ?? [])].sort());
  const o = order.value;
  if (!o) {
    return (
      <Page title={problem.value ? advice(problem.value).title : "Order"}>
        {problem.value === null ? <Waiting>Looking for your order…</Waiting> : isProblem(problem.value, "not-found")
          ? <><p class="quiet">This order is not yours, or there is none with this address.</p><p><a class="button" href="/orders">Your orders</a></p></>
          : <Notice tone="warn" advice={advice(problem.value)}><button type="button" class="button" onClick={() => void look()}>Try again</button></Notice>}
      </Page>
    );
  }
  return (
    <Page title={headline(o)}>
      <State o={o} />
      {o.status === "awaiting_payment" && <Pay order={order as Signal<Order>} look={look} />}
      <Lines o={o} />
      <p class="quiet small number">Ordered {dateTime(o.created_at)} · Order <code>{o.id}</code></p>
      <p class="after"><a class="button" href="/orders">Your orders</a> <a class="button plain" href="/">Go on looking</a></p>
    </Page>
  );
}

// An order that waits for its money may change at any moment.
function useWhileOpen(order: Signal<Order | null>, look: () => Promise<void>): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    const tick = async () => {
      const o = order.peek();
      const soon = o?.status === "awaiting_payment" && (o.payment.status === "pending" || remaining(shop, o.pay_by) < 2000);
      if (!document.hidden && soon) await look();
      timer = setTimeout(() => void tick(), 1200);
    };
    void tick();
    const seen = () => document.hidden || void look();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [order]);
}

export function stateOf(o: Order): string {
  if (o.status === "awaiting_payment") return o.payment.status === "pending" ? "payment under way" : "not paid yet";
  return o.status;
}

function headline(o: Order): string {
  switch (o.status) {
    case "paid": return "It is yours";
    case "cancelled": return o.replaced_by_order_id ? "Replaced by another order" : "This order is cancelled";
    case "refunded": return "This order was refunded";
    default: return o.payment.status === "pending" ? "Waiting for the payment" : "Pay for your order";
  }
}

function State({ o }: { o: Order }) {
  if (o.status === "paid") {
    const units = o.lines.reduce((sum, l) => sum + l.quantity - l.returned_unit_ids.length, 0);
    return (
      <div class="notice good">
        <Check />
        <div>
          <p class="title">Paid{o.total && ` · ${money(o.total)}`}</p>
          <p>{units === 1 ? "This unit is" : `These ${count(units)} units are`} sold to you and to nobody else.{o.refunded && o.refunded.amount > 0 && ` ${money(o.refunded)} was given back.`}</p>
        </div>
      </div>
    );
  }
  if (o.status === "cancelled") {
    const why = o.reason === "payment-overdue" ? `It was not paid by ${at(o.pay_by ?? o.created_at, now.value)}, so its units went back to stock.` : "Its units went back to stock. Nothing was charged.";
    return (
      <>
        <p class="lead">{why}</p>
        {o.replaced_by_order_id && <p>The money came late, and bought equal units: <a href={`/orders/${o.replaced_by_order_id}`}>see that order</a>.</p>}
      </>
    );
  }
  return o.status === "refunded" ? <p class="lead">{o.refunded ? `${money(o.refunded)} was given back.` : "The money was given back."}</p> : null;
}

const cards = [
  { id: "succeed", name: "Card that works", says: "Pays at once." },
  { id: "decline", name: "Card that is declined", says: "The bank says no. You can try another." },
  { id: "late", name: "Slow card", says: "The money takes a moment to arrive." },
  { id: "hang", name: "Card that never answers", says: "The bank is silent; the order stays open until its time." },
  { id: "twice", name: "Card that tells twice", says: "Pays at once, and the bank says so twice. You still pay once." },
];

function Pay({ order, look }: { order: Signal<Order>; look: () => Promise<void> }) {
  const o = order.value;
  const card = useSignal("succeed");
  const busy = useSignal<"" | "pay" | "cancel">("");
  const problem = useSignal<unknown>(null);
  const run = async (what: "pay" | "cancel", call: () => Promise<Order>) => {
    if (busy.value) return;
    busy.value = what;
    problem.value = null;
    try {
      order.value = await call();
      say(`This order is now ${stateOf(order.value)}.`);
      void loadCart();
    } catch (error) {
      problem.value = error;
      say(`${advice(error).title}. ${advice(error).text}`);
      await look();
    } finally {
      busy.value = "";
    }
  };
  const send = () => void run("pay", () => payWith(o.id, card.value));
  useEffect(() => {
    if (unanswered(o.id)) send(); // it was under way when the page was left
  }, [o.id]);
  const pending = o.payment.status === "pending";
  return (
    <>
      <div class={remaining(shop, o.pay_by) < 60_000 ? "until late" : "until"}>
        <Timer until={o.pay_by} label="Time to pay:" />
        <span class="small">Until {at(o.pay_by ?? o.created_at, now.value)} everything in it stays yours.</span>
      </div>
      {pending && busy.value === "" && o.payment.provider !== "stripe" && (
        <div class="notice wait"><span class="spinner" aria-hidden="true" /><div><p class="title">The payment is on its way</p><p>The bank has not decided yet. This page goes on by itself; you may also close it and come back.</p></div></div>
      )}
      {problem.value !== null && <Notice tone="bad" advice={advice(problem.value)} />}
      {o.payment.provider === "none" && <p class="lead">This store takes no payments itself. Pay where the shop tells you to.</p>}
      {o.payment.provider === "stripe" && <p class="lead">This order is paid with Stripe, on the shop's own page. Go back there to pay: this page shows when it is done.</p>}
      {o.payment.provider === "test" && !pending && <Cards chosen={card} />}
      <div class="actions">
        {o.payment.provider === "test" && !pending && (
          <button type="button" class="button main" aria-disabled={busy.value !== ""} onClick={send}>
            {busy.value === "pay" ? <Waiting>Paying…</Waiting> : `Pay ${o.total ? money(o.total) : ""}`}
          </button>
        )}
        <Cancel busy={busy.value} onSure={() => void run("cancel", () => cancelOrder(o.id))} />
      </div>
    </>
  );
}

function Cards({ chosen }: { chosen: Signal<string> }) {
  return (
    <fieldset class="cards-to-pay">
      <legend>Pay with a test card <span class="quiet small">No money moves here.</span></legend>
      {cards.map(({ id, name, says }) => (
        <label key={id} class="choice">
          <input type="radio" name="card" value={id} checked={chosen.value === id} onChange={() => (chosen.value = id)} />
          <span><strong>{name}</strong><span class="quiet small">{says}</span></span>
        </label>
      ))}
    </fieldset>
  );
}

// Asks once more, because what is in the order may be gone a moment later.
function Cancel({ busy, onSure }: { busy: string; onSure: () => void }) {
  const asked = useSignal(false);
  const keep = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (asked.value) keep.current?.focus();
  }, [asked.value]);
  if (!asked.value) {
    return <button type="button" class="button plain" onClick={() => (asked.value = true)}>Cancel this order</button>;
  }
  return (
    <div class="sure" role="group" aria-label="Cancel this order?">
      <p>Cancel it? What is in it goes back to stock at once.</p>
      <button type="button" class="button" aria-disabled={busy !== ""} onClick={onSure}>{busy === "cancel" ? <Waiting>Cancelling…</Waiting> : "Yes, cancel it"}</button>
      <button ref={keep} type="button" class="button plain" onClick={() => (asked.value = false)}>Keep it</button>
    </div>
  );
}

function Lines({ o }: { o: Order }) {
  return (
    <section class="lines" aria-label="What was ordered">
      <ul class="holds">
        {o.lines.map((l) => (
          <li key={l.transaction_id} class="hold">
            <Picture product={product(l.sku).value ?? { sku: l.sku, name: null, image_url: null }} />
            <div class="what">
              <a href={`/products/${encodeURIComponent(l.sku)}`}>{nameOfSku(l.sku)}</a>
              <p class="quiet small number">{count(l.quantity)}{l.price && ` × ${money(l.price)}`}{l.returned_unit_ids.length > 0 && ` · ${count(l.returned_unit_ids.length)} returned`}</p>
              {o.status === "paid" && (
                <ul class="units" aria-label="Unit numbers">
                  {l.unit_ids.slice(0, 12).map((unit) => <li key={unit} class={l.returned_unit_ids.includes(unit) ? "unit gone number" : "unit number"} title={unit}>№ {unit.slice(-6)}</li>)}
                </ul>
              )}
            </div>
            <p class="cost number">{l.price && money(times(l.price, l.quantity))}</p>
          </li>
        ))}
      </ul>
      {o.total && <p class="total"><span>Total</span> <strong class="number">{money(o.total)}</strong></p>}
    </section>
  );
}
