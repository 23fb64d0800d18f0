import { useSignal } from "@preact/signals";
import { listOrders } from "lastunit";
import type { Order } from "lastunit";
import { useEffect } from "preact/hooks";
import { count, money } from "../shared/money";
import { dateTime } from "../shared/time";
import { nameOfSku, product, useLive } from "./catalogue";
import { Notice, Page, Picture, Timer, Waiting } from "./parts";
import { stateOf } from "./OrderPage";
import { known } from "./session";
import { shop } from "./shop";
import { advice } from "./words";

export function OrdersPage() {
  const orders = useSignal<Order[] | undefined>(known() ? undefined : []);
  const cursor = useSignal<string | null>(null);
  const problem = useSignal<unknown>(null);
  const load = async (more = false) => {
    if (!known()) return;
    try {
      const page = await listOrders(shop, { limit: 20, ...(more && cursor.value && { cursor: cursor.value }) });
      orders.value = more ? [...(orders.value ?? []), ...page.items] : page.items;
      cursor.value = page.next_cursor;
      problem.value = null;
    } catch (error) {
      problem.value = error;
    }
  };
  useEffect(() => void load(), []);
  useLive([...new Set(orders.value?.flatMap((o) => o.lines.map((l) => l.sku)) ?? [])].sort());
  return (
    <Page title="Your orders">
      {problem.value !== null && <Notice tone="warn" advice={advice(problem.value)}><button type="button" class="button" onClick={() => void load()}>Try again</button></Notice>}
      {orders.value === undefined && problem.value === null && <Waiting>Looking for your orders…</Waiting>}
      {orders.value?.length === 0 && (
        <div class="empty">
          <p class="big">No orders yet.</p>
          <p class="quiet">What you order here stays listed on this page.</p>
          <a class="button main" href="/">Look around</a>
        </div>
      )}
      <ul class="orders">{orders.value?.map((o) => <Row key={o.id} o={o} />)}</ul>
      {cursor.value && <p class="center"><button type="button" class="button" onClick={() => void load(true)}>Show more</button></p>}
    </Page>
  );
}

function Row({ o }: { o: Order }) {
  const units = o.lines.reduce((sum, l) => sum + l.quantity, 0);
  const [first] = o.lines;
  const open = o.status === "awaiting_payment";
  return (
    <li>
      <a class="order" href={`/orders/${o.id}`}>
        <Picture product={first && (product(first.sku).value ?? { sku: first.sku, name: null, image_url: null })} />
        <span class="what"><strong>{o.lines.map((l) => nameOfSku(l.sku)).join(", ")}</strong><span class="quiet small number">{count(units)} {units === 1 ? "unit" : "units"} · {dateTime(o.created_at)}</span></span>
        <span class="money number">{o.total && money(o.total)}</span>
        <span class={`badge ${o.status}`}>{open ? <Timer until={o.pay_by} label="to pay," /> : stateOf(o)}</span>
      </a>
    </li>
  );
}
