import { exportOrders, listOrders, listSales } from "lastunit";
import type { ListOrdersQuery, Order, Sale } from "lastunit";
import { count, money } from "./format";
import { useAction, useReading } from "./reading";
import { go, route, to } from "./route";
import { client } from "./session";
import { fromLocalInput, toLocalInput, zoneName } from "./time";
import { Button, Empty, Field, Id, Needs, Panel, Problem, Read, Status, Time } from "./ui";

const names = ["state", "sale", "buyer", "reference", "since", "until"] as const;
type Filter = Partial<Record<(typeof names)[number], string>>;

function filterOf(query: URLSearchParams): Filter {
  return Object.fromEntries(names.flatMap((name) => (query.get(name) ? [[name, query.get(name)!]] : [])));
}

/** The orders, by what they are looked for. */
export function Orders() {
  return <><div class="head"><h1>Orders</h1></div><Needs scope="order" what="Looking at orders"><List /></Needs></>;
}

function List() {
  const filter = filterOf(route.value.query);
  const cursors = route.value.query.getAll("page");
  const text = JSON.stringify([filter, cursors]);
  const cursor = cursors.at(-1);
  const query = { ...filter, limit: 50, ...(cursor ? { cursor } : {}) } as ListOrdersQuery;
  const orders = useReading((signal) => listOrders(client.value, query, { signal, retry: false }), [client.value, text], cursor ? 0 : 5000);
  const sales = useReading((signal) => listSales(client.value, { limit: 100 }, { signal, retry: false }), [client.value]);
  return (
    <>
      <Filters key={JSON.stringify(filter)} filter={filter} sales={sales.value?.items ?? []} />
      <Panel title="Orders, the newest first" class="flush" tools={<Export filter={filter} />}>
        <Read from={orders} what="the orders">
          {({ items, next_cursor }) => (
            <>
              {items.length === 0 ? <Empty><p>{Object.keys(filter).length > 0 ? "No order is like that. Ask for less." : "Nobody has ordered anything yet."}</p></Empty> : <Table orders={items} sales={sales.value?.items ?? []} />}
              <nav class="pager" aria-label="Pages">
                {cursors.length > 0 && <a href={page(filter, cursors.slice(0, -1))}>Newer</a>}
                {next_cursor && <a href={page(filter, [...cursors, next_cursor])}>Older</a>}
              </nav>
            </>
          )}
        </Read>
      </Panel>
    </>
  );
}

function page(filter: Filter, cursors: string[]): string {
  const more = cursors.map((c) => `page=${encodeURIComponent(c)}`).join("&");
  const address = to(["orders"], filter);
  return more ? `${address}${address.includes("?") ? "&" : "?"}${more}` : address;
}

function Filters({ filter, sales }: { filter: Filter; sales: Sale[] }) {
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    const given = new FormData(e.currentTarget as HTMLFormElement);
    const text = (name: string) => String(given.get(name) ?? "").trim();
    go(to(["orders"], { state: text("state"), sale: text("sale"), buyer: text("buyer"), reference: text("reference"), since: fromLocalInput(text("since")), until: fromLocalInput(text("until")) }));
  };
  const states = [["", "any"], ["awaiting_payment", "awaiting payment"], ["paid", "paid"], ["cancelled", "cancelled"], ["refunded", "refunded"]];
  return (
    <form class="filters" role="search" aria-label="Orders" onSubmit={submit}>
      <Field label="State">{(f) => <select {...f} name="state">{states.map(([value, name]) => <option key={value} value={value} selected={(filter.state ?? "") === value}>{name}</option>)}</select>}</Field>
      <Field label="Sale">
        {(f) => (
          <select {...f} name="sale">
            <option value="">any, or none</option>
            {sales.filter((s) => s.status !== "draft").map((s) => <option key={s.id} value={s.id} selected={filter.sale === s.id}>{s.name}</option>)}
          </select>
        )}
      </Field>
      <Field label="Buyer">{(f) => <input {...f} name="buyer" defaultValue={filter.buyer ?? ""} />}</Field>
      <Field label="Reference">{(f) => <input {...f} name="reference" defaultValue={filter.reference ?? ""} />}</Field>
      <Field label="From">{(f) => <input {...f} name="since" type="datetime-local" title={zoneName()} defaultValue={filter.since ? toLocalInput(filter.since) : ""} />}</Field>
      <Field label="Before">{(f) => <input {...f} name="until" type="datetime-local" title={zoneName()} defaultValue={filter.until ? toLocalInput(filter.until) : ""} />}</Field>
      <div class="actions"><Button type="submit">Filter</Button>{Object.keys(filter).length > 0 && <a class="button plain" href={to(["orders"])}>Clear</a>}</div>
    </form>
  );
}

function Export({ filter }: { filter: Filter }) {
  const save = useAction(async () => {
    const answer = await exportOrders(client.value, filter as object);
    const blob = await answer.blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `orders-${new Date().toISOString().slice(0, 10)}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return `Exported ${Object.keys(filter).length > 0 ? "the orders that were asked for" : "all orders"} to ${link.download} (${count(Math.ceil(blob.size / 1024))} kB).`;
  });
  return <><Button busy={save.busy} onClick={() => void save.run()}>{save.busy ? "Exporting …" : "Export as CSV"}</Button><Problem error={save.error} /></>;
}

function Table({ orders, sales }: { orders: Order[]; sales: Sale[] }) {
  const saleNames = new Map(sales.map((s) => [s.id, s.name]));
  return (
    <div class="scroll">
      <table class="list orders">
        <thead><tr><th scope="col">Order</th><th scope="col">Made</th><th scope="col">State</th><th scope="col">Buyer</th><th scope="col">What</th><th scope="col" class="number">Total</th><th scope="col">Reference</th></tr></thead>
        <tbody>
          {orders.map((o) => {
            const through = [...new Set(o.lines.flatMap((l) => (l.sale_id ? [saleNames.get(l.sale_id) ?? "a sale"] : [])))];
            return (
              <tr key={o.id}>
                <th scope="row"><Id of={o.id} href={to(["orders", o.id])} /></th>
                <td><Time at={o.created_at} /></td>
                <td><Status of={o.status} /></td>
                <td class="clip" title={o.buyer}>{o.buyer}</td>
                <td>{o.lines.map((l) => `${l.quantity} × ${l.sku}`).join(", ")}{through.length > 0 && <span class="note"> {through.join(", ")}</span>}</td>
                <td class="number">{money(o.total)}{o.refunded && o.refunded.amount > 0 && <span class="note"> −{money(o.refunded)}</span>}</td>
                <td class="clip">{o.reference ?? "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
