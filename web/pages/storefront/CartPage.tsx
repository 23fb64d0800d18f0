import { useSignal } from "@preact/signals";
import type { Transaction } from "lastunit";
import { remaining } from "lastunit";
import { useEffect } from "preact/hooks";
import { count, money, times } from "../shared/money";
import { at } from "../shared/time";
import { add, adding, cart, cartProblem, dismiss, held, heldUnits, lapsed, leave, loadCart, nextExpiry, order, remove } from "./cart";
import type { Lapsed } from "./cart";
import { nameOfSku, product, useLive } from "./catalogue";
import { Alert, Line } from "./icons";
import { Notice, Page, Picture, Timer, Waiting } from "./parts";
import { go } from "./router";
import { now, shop } from "./shop";
import { advice } from "./words";

export function CartPage() {
  useEffect(() => void loadCart(), []);
  const waiting = Object.entries(adding.value).filter(([, a]) => a.phase === "queued");
  const skus = [...held.value.map((t) => t.sku), ...lapsed.value.map((l) => l.sku), ...waiting.map(([sku]) => sku)];
  useLive([...new Set(skus)].sort());
  const nothing = held.value.length === 0 && lapsed.value.length === 0 && waiting.length === 0;
  return (
    <Page title="Your cart">
      {lapsed.value.map((l) => <RanOut key={l.id} item={l} />)}
      {waiting.map(([sku, a]) => a.phase === "queued" && <InLine key={sku} sku={sku} position={a.position} />)}
      {held.value.length > 0 && <Holds />}
      {nothing && cart.value === undefined && (cartProblem.value
        ? <Notice tone="warn" advice={advice(cartProblem.value)}><button type="button" class="button" onClick={() => void loadCart()}>Try again</button></Notice>
        : <Waiting>Looking into your cart…</Waiting>)}
      {nothing && cart.value !== undefined && (
        <div class="empty">
          <p class="big">Nothing in it yet.</p>
          <p class="quiet">What you add is yours alone for a few minutes: nobody else can buy it in that time.</p>
          <a class="button main" href="/">Look around</a>
        </div>
      )}
    </Page>
  );
}

function Holds() {
  const busy = useSignal(false);
  const problem = useSignal<unknown>(null);
  const next = nextExpiry.value;
  const late = remaining(shop, next) < 60_000;
  const send = async () => {
    if (busy.value) return;
    busy.value = true;
    problem.value = null;
    try {
      go(`/orders/${(await order()).id}`);
    } catch (error) {
      problem.value = error;
    } finally {
      busy.value = false;
    }
  };
  return (
    <>
      <div class={late ? "until late" : "until"}>
        <Timer until={next} label={late ? "Nearly out of time:" : "All yours for"} />
        <span class="small">{late ? "Order now, or it goes back to stock." : `Until ${at(next!, now.value)} nobody else can buy these.`}</span>
      </div>
      <ul class="holds">{held.value.map((t) => <Hold key={t.id} t={t} />)}</ul>
      <div class="sum">
        <p class="total"><span>{count(heldUnits.value)} {heldUnits.value === 1 ? "unit" : "units"}</span> <strong class="number">{totals(held.value)}</strong></p>
        <button type="button" class="button main wide" aria-disabled={busy.value} onClick={() => void send()}>
          {busy.value ? <Waiting>Ordering…</Waiting> : "Order and go to payment"}
        </button>
        <p class="quiet small">Then you have some more minutes to pay. Nothing is charged yet.</p>
      </div>
      {problem.value !== null && <Notice tone="warn" advice={advice(problem.value)}>{advice(problem.value).again && <button type="button" class="button" onClick={() => void send()}>Try again</button>}</Notice>}
    </>
  );
}

function totals(items: Transaction[]): string {
  const sums = new Map<string, number>();
  items.forEach(({ price, quantity }) => price && sums.set(price.currency, (sums.get(price.currency) ?? 0) + price.amount * quantity));
  return [...sums].map(([currency, amount]) => money({ currency, amount })).join(" + ");
}

function Hold({ t }: { t: Transaction }) {
  const busy = useSignal(false);
  const problem = useSignal<unknown>(null);
  const name = nameOfSku(t.sku);
  const out = async () => {
    if (busy.value) return;
    busy.value = true;
    try {
      await remove(t);
      document.querySelector("h1")?.focus(); // the button has gone
    } catch (error) {
      problem.value = error;
      void loadCart();
    } finally {
      busy.value = false;
    }
  };
  return (
    <li class="hold">
      <Picture product={product(t.sku).value ?? { sku: t.sku, name: null, image_url: null }} />
      <div class="what">
        <a href={`/products/${encodeURIComponent(t.sku)}`}>{name}</a>
        <p class="quiet small number">{count(t.quantity)}{t.price && ` × ${money(t.price)}`}</p>
        {problem.value !== null && <p class="small warning"><Alert />{advice(problem.value).title}</p>}
      </div>
      <p class="cost number">{t.price && money(times(t.price, t.quantity))}</p>
      <p class="time"><Timer until={t.expires_at} /></p>
      <button type="button" class="button plain" aria-disabled={busy.value} onClick={() => void out()}>Remove<span class="hidden-visually"> {name}</span></button>
    </li>
  );
}

function RanOut({ item }: { item: Lapsed }) {
  const name = nameOfSku(item.sku);
  const state = adding.value[item.sku];
  const p = product(item.sku).value;
  const told = { title: `Time ran out for ${count(item.quantity)} × ${name}`, text: `At ${at(item.at, now.value)} it went back to stock, where others can buy it. If there is any left, you can have it again.` };
  return (
    <Notice tone="warn" advice={told}>
      <button type="button" class="button main" aria-disabled={state?.phase === "asking"} onClick={() => add(item.sku, item.quantity)}>
        {state?.phase === "asking" ? <Waiting>Asking…</Waiting> : <>Add again<span class="hidden-visually">: {name}</span></>}
      </button>
      <button type="button" class="button plain" onClick={() => dismiss(item.id)}>Leave it<span class="hidden-visually">: {name}</span></button>
      {state?.phase === "refused" && <p class="small">{advice(state.error).title}. {advice(state.error).text}</p>}
      {!state && p?.availability.status === "sold_out" && <p class="small">It is sold out now.</p>}
    </Notice>
  );
}

function InLine({ sku, position }: { sku: string; position: number | null }) {
  return (
    <div class="notice wait">
      <Line />
      <div>
        <p class="title">In line for {nameOfSku(sku)}</p>
        <p class="number">{position ? `${count(position)} asked for ahead of you` : "You are next"}</p>
        <div class="actions"><button type="button" class="button" onClick={() => void leave(sku)}>Leave the line</button></div>
      </div>
    </div>
  );
}
