import { getOrder, getSale, refund } from "lastunit";
import type { Order as Shown, OrderLine, RefundBody } from "lastunit";
import { useState } from "preact/hooks";
import { money, shortId, units } from "./format";
import { sure } from "./notices";
import { useAction, useReading } from "./reading";
import { to } from "./route";
import { client } from "./session";
import { Button, Facts, Id, Needs, Panel, Problem, Read, Status, Time } from "./ui";

type Restock = RefundBody["restock"];

const restocks: [Restock, string, string, string][] = [
  ["available", "On sale again", "can be claimed at once", "on sale again, and can be claimed at once"],
  ["quarantine", "To quarantine", "to be looked at first", "in quarantine, until let out"],
  ["write_off", "Written off", "gone for good", "written off, for good"],
];

/** An order with its lines, and taking units back. */
export function Order({ id }: { id: string }) {
  return <Needs scope="order" what="Looking at orders"><Loaded id={id} /></Needs>;
}

function Loaded({ id }: { id: string }) {
  const order = useReading((signal) => getOrder(client.value, id, { signal, retry: false }), [client.value, id], 5000);
  return (
    <Read from={order} what="the order">
      {(o) => (
        <>
          <div class="head">
            <div><p class="crumb"><a href={to(["orders"])}>Orders</a></p><h1>Order {shortId(o.id)} <Status of={o.status} /></h1><p class="sub"><code>{o.id}</code></p></div>
          </div>
          <div class="columns">
            <div class="wide"><Lines o={o} reload={() => void order.reload()} /></div>
            <div class="narrow"><About o={o} /></div>
          </div>
        </>
      )}
    </Read>
  );
}

const paymentWords: Record<string, string> = { none: "nothing paid", pending: "under way", succeeded: "paid", failed: "failed", refunded: "given back" };
const reasons: Record<string, string> = { "payment-overdue": "not paid in time", "cancelled-by-buyer": "by the buyer", repaired: "by a repair: a unit of it was another's" };

function About({ o }: { o: Shown }) {
  return (
    <Panel title="The order">
      <Facts of={[
        ["Buyer", <a href={to(["orders"], { buyer: o.buyer })}>{o.buyer}</a>],
        ["Made", <Time at={o.created_at} />],
        ["Total", <span class="number">{money(o.total)}</span>],
        ...(o.refunded && o.refunded.amount > 0 ? [["Given back", <span class="number">{money(o.refunded)}</span>] as [string, preact.ComponentChildren]] : []),
        ["Payment", `${paymentWords[o.payment.status] ?? o.payment.status}, ${o.payment.provider === "external" ? "by the shop beside" : `with ${o.payment.provider}`}`],
        ...(o.status === "awaiting_payment" && o.pay_by ? [["To be paid by", <Time at={o.pay_by} />] as [string, preact.ComponentChildren]] : []),
        ...(o.reason ? [["Cancelled", reasons[o.reason] ?? o.reason] as [string, string]] : []),
        ["Reference", o.reference ?? "–"],
        ...(o.replaces_order_id ? [["Replaces", <Id of={o.replaces_order_id} href={to(["orders", o.replaces_order_id])} />] as [string, preact.ComponentChildren]] : []),
        ...(o.replaced_by_order_id ? [["Replaced by", <Id of={o.replaced_by_order_id} href={to(["orders", o.replaced_by_order_id])} />] as [string, preact.ComponentChildren]] : []),
      ]} />
      {o.metadata && <details><summary>What the shop sent with it</summary><pre>{JSON.stringify(o.metadata, null, 2)}</pre></details>}
    </Panel>
  );
}

const left = (line: OrderLine) => line.unit_ids.filter((id) => !line.returned_unit_ids.includes(id));

function Lines({ o, reload }: { o: Shown; reload: () => void }) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const refundable = o.status === "paid" ? o.lines.flatMap(left) : [];
  const picked = refundable.filter((id) => chosen.has(id));
  const toggle = (ids: string[], on: boolean) => {
    const next = new Set(chosen);
    ids.forEach((id) => (on ? next.add(id) : next.delete(id)));
    setChosen(next);
  };
  return (
    <Panel title="Lines" tools={refundable.length > 0 && <Button tone="plain" onClick={() => toggle(refundable, picked.length < refundable.length)}>{picked.length < refundable.length ? "Choose all units" : "Choose none"}</Button>}>
      <ul class="lines">
        {o.lines.map((line) => (
          <li key={line.transaction_id}>
            <div class="line">
              <span><strong>{line.quantity} × <a href={to(["products", line.sku])}>{line.sku}</a></strong>{line.sale_id && <span class="note"> in <SaleName id={line.sale_id} /></span>}</span>
              <span class="number">{money(line.price)} each</span>
            </div>
            <ul class="units">
              {line.unit_ids.map((id) => <UnitLine key={id} id={id} back={line.returned_unit_ids.includes(id)} can={refundable.includes(id)} chosen={chosen.has(id)} choose={(on) => toggle([id], on)} />)}
            </ul>
          </li>
        ))}
      </ul>
      {refundable.length > 0 ? <Refund o={o} picked={picked} all={refundable} done={() => { setChosen(new Set()); reload(); }} /> : <p class="note">{nothingToRefund(o)}</p>}
    </Panel>
  );
}

function SaleName({ id }: { id: string }) {
  const sale = useReading((signal) => getSale(client.value, id, { signal }), [client.value, id]);
  return <a href={to(["sales", id])}>{sale.value?.name ?? "a sale"}</a>;
}

function nothingToRefund(o: Shown): string {
  switch (o.status) {
    case "awaiting_payment":
      return "It is not paid yet: there is nothing to give back. The buyer can cancel it; unpaid it lapses by itself.";
    case "cancelled":
      return "It is cancelled, and its units can be bought by others.";
    default:
      return "All its units have come back.";
  }
}

function UnitLine({ id, back, can, chosen, choose }: { id: string; back: boolean; can: boolean; chosen: boolean; choose: (on: boolean) => void }) {
  return (
    <li class={back ? "back" : ""}>
      {can ? <label><input type="checkbox" checked={chosen} onChange={(e) => choose(e.currentTarget.checked)} /> <span class="id">{id}</span></label> : <span class="id">{id}</span>}
      {back && <span class="note">came back</span>}
      <a class="life" href={to(["units", id])} aria-label={`Life of the unit ${id}`}>life</a>
    </li>
  );
}

/** What some units of an order cost. */
function worth(o: Shown, ids: string[]) {
  const amount = o.lines.reduce((sum, l) => sum + (l.price?.amount ?? 0) * l.unit_ids.filter((id) => ids.includes(id)).length, 0);
  return o.total && { amount, currency: o.total.currency };
}

function Refund({ o, picked, all, done }: { o: Shown; picked: string[]; all: string[]; done: () => void }) {
  const [restock, setRestock] = useState<Restock>("available");
  const run = useAction(async (key, body: RefundBody) => {
    const n = body.unit_ids?.length ?? 0;
    const back = worth(o, body.unit_ids ?? []);
    const now = await refund(client.value, o.id, body, { key });
    done();
    const where = restocks.find(([value]) => value === body.restock)![1].toLowerCase();
    return `Took ${units(n)} back (${where})${back && o.payment.provider !== "external" ? `; ${money(back)} is given back` : ""}. The order is ${now.status}.`;
  });
  const ask = async () => {
    const [, , , fate] = restocks.find(([value]) => value === restock)!;
    const back = worth(o, picked);
    if (await sure({
      title: `Refund ${units(picked.length)}?`, yes: `Refund ${units(picked.length)}`, grave: true,
      happens: [
        o.payment.provider === "external" ? "The shop beside took the money: give it back there." : `${money(back)} goes back to ${o.buyer}, with the provider ${o.payment.provider}.`,
        `The ${picked.length === 1 ? "unit is" : "units are"} ${fate}.`,
        picked.length === all.length ? "The order has no units left then: it becomes refunded." : `The order stays paid, with ${units(all.length - picked.length)}.`,
      ],
    })) {
      void run.run({ unit_ids: picked, restock });
    }
  };
  return (
    <div class="refund">
      <h3>Take units back</h3>
      <fieldset class="choice">
        <legend>Where they go</legend>
        {restocks.map(([value, name, about]) => (
          <label key={value}><input type="radio" name="restock" checked={restock === value} onChange={() => setRestock(value)} /> <span>{name}<small>{about}</small></span></label>
        ))}
      </fieldset>
      <div class="actions">
        <Button tone="danger" aria-disabled={picked.length === 0} busy={run.busy} onClick={() => picked.length > 0 && void ask()}>
          {picked.length === 0 ? "Refund …" : `Refund ${units(picked.length)}, ${money(worth(o, picked))} …`}
        </Button>
        {picked.length === 0 && <span class="note">Choose the units above.</span>}
      </div>
      <Problem error={run.error} />
    </div>
  );
}
