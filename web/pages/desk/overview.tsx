import { listSales, listProducts, remaining } from "lastunit";
import type { Product, Sale } from "lastunit";
import { AuditPanel } from "./audit";
import { money, plural } from "./format";
import { useReading } from "./reading";
import { to } from "./route";
import { Brake } from "./selling";
import { client, may } from "./session";
import { Stock } from "./stock";
import { countdown, duration, tick } from "./time";
import { Empty, Missing, Panel, Read, Status, Time } from "./ui";

/** What is going on: sales, products, whether anything is sold, whether it adds up. */
export function Overview() {
  const sales = useReading((signal) => listSales(client.value, { limit: 100 }, { signal, retry: false }), [client.value], 3000);
  const products = useReading((signal) => listProducts(client.value, { limit: 50 }, { signal, retry: false }), [client.value], 3000);
  return (
    <>
      <div class="head">
        <h1>Overview</h1>
        <div class="tools">{may("sale") && <a class="button main" href={to(["sales", "new"])}>Plan a sale</a>}</div>
      </div>
      <div class="columns overview">
        <div class="wide">
          <Panel title="Sales">
            {!may("sale") && <Missing scope="sale" what="Seeing drafts, and running sales," />}
            <Read from={sales} what="the sales">{({ items }) => <Sales of={items} />}</Read>
          </Panel>
          <Panel title="Products" tools={<a href={to(["products"])}>All products and stock</a>}>
            <Read from={products} what="the products">{({ items, next_cursor }) => <><ProductTable of={items} />{next_cursor && <p class="more">The first {items.length}. <a href={to(["products"])}>See all.</a></p>}</>}</Read>
          </Panel>
        </div>
        <div class="narrow"><Brake /><AuditPanel skus={null} title="Audit" /></div>
      </div>
    </>
  );
}

const groups: [string, Sale["status"][]][] = [["Now", ["open", "paused"]], ["Planned", ["scheduled"]], ["Drafts", ["draft"]], ["Over", ["closed"]]];

function Sales({ of }: { of: Sale[] }) {
  if (of.length === 0) {
    return <Empty><p>No sale is planned. What has a price sells normally all the same.</p></Empty>;
  }
  return (
    <div class="scroll">
      <table class="list sales">
        <thead><tr><th scope="col">Sale</th><th scope="col">State</th><th scope="col">Opens</th><th scope="col" class="minor">Closes</th><th scope="col" class="minor">Products</th></tr></thead>
        {groups.map(([name, states]) => {
          const some = of.filter((s) => states.includes(s.status)).sort(byTime(states[0] === "closed"));
          return some.length > 0 && (
            <tbody key={name}>
              <tr class="group"><th colSpan={5} scope="rowgroup">{name}</th></tr>
              {some.slice(0, states[0] === "closed" ? 10 : 100).map((sale) => <SaleRow key={sale.id} sale={sale} />)}
            </tbody>
          );
        })}
      </table>
    </div>
  );
}

const byTime = (newestFirst: boolean) => (a: Sale, b: Sale) => (Date.parse(a.opens_at) - Date.parse(b.opens_at)) * (newestFirst ? -1 : 1);

function SaleRow({ sale }: { sale: Sale }) {
  const until = sale.status === "scheduled" ? sale.opens_at : sale.closes_at;
  const left = (tick.value, remaining(client.value, until));
  return (
    <tr>
      <th scope="row"><a href={to(["sales", sale.id])}>{sale.name}</a></th>
      <td>
        <Status of={sale.status} />
        {sale.status !== "closed" && sale.status !== "draft" && <span class="note number"> {sale.status === "scheduled" ? "in" : "for"} {left > 86_400_000 ? duration(left) : countdown(left)}</span>}
      </td>
      <td><Time at={sale.opens_at} /></td>
      <td class="minor"><Time at={sale.closes_at} /></td>
      <td class="minor">{sale.items.length > 2 ? plural(sale.items.length, "product") : sale.items.map((i) => i.sku).join(", ")}</td>
    </tr>
  );
}

export function ProductTable({ of, tools }: { of: Product[]; tools?: (p: Product) => preact.ComponentChildren }) {
  if (of.length === 0) {
    return <Empty><p>There are no products yet. <a href={to(["products"])}>Create the first.</a></p></Empty>;
  }
  return (
    <div class="scroll">
      <table class="list products">
        <thead><tr><th scope="col">Product</th><th scope="col" class="minor">SKU</th><th scope="col" class="number">Price</th><th scope="col">To be had</th><th scope="col">Sale</th>{tools && <th scope="col"><span class="hidden-visually">Actions</span></th>}</tr></thead>
        <tbody>
          {of.map((p) => (
            <tr key={p.sku}>
              <th scope="row"><a href={to(["products", p.sku])}>{p.name ?? p.sku}</a></th>
              <td class="sku minor">{p.sku}</td>
              <td class="number">{money(p.price)}</td>
              <td><Stock of={p.availability} /></td>
              <td>{p.sale ? <><a href={to(["sales", p.sale.id])}>{p.sale.name}</a> <Status of={p.sale.status} /></> : "–"}</td>
              {tools && <td>{tools(p)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
