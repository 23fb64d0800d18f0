import { each, getSale, listProducts, listSales, remaining, saleFigures, serverNow } from "lastunit";
import type { Product, Sale } from "lastunit";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { AuditPanel } from "./audit";
import { look } from "./checks";
import { follow, result, sharpen, totals } from "./figures";
import type { Course } from "./figures";
import { Findings } from "./found";
import { count, money, plural, rate, units } from "./format";
import { useReading } from "./reading";
import type { Reading } from "./reading";
import { Rehearse } from "./rehearse";
import { to } from "./route";
import { SaleActions } from "./sale-actions";
import { Changes } from "./sale-changes";
import { ByItem, Numbers, Plots, Rates } from "./sale-figures";
import { client, may } from "./session";
import { countdown, duration, tick, zoneName } from "./time";
import { Facts, Missing, Panel, Read, Stale, Status, Time } from "./ui";

/** A sale at a glance: what is planned, what is going on, what became of it. */
export function SaleView({ id }: { id: string }) {
  const sale = useReading((signal) => getSale(client.value, id, { signal, retry: false }), [client.value, id], 2000);
  return (
    <Read from={sale} what="the sale">
      {(s) => (
        <>
          <div class="head">
            <div>
              <p class="crumb"><a href={to([])}>Overview</a></p>
              <h1>{s.name} <Status of={s.status} /></h1>
              <Until sale={s} />
            </div>
            <SaleActions sale={s} changed={() => sale.reload()} />
          </div>
          <Body sale={s} />
        </>
      )}
    </Read>
  );
}

// A sale that is called off before it opens has its opening and its closing at that moment.
const neverOpened = (sale: Sale) => sale.closes_at <= sale.opens_at;

function Until({ sale }: { sale: Sale }) {
  const left = (to: string) => (tick.value, remaining(client.value, to));
  switch (sale.status) {
    case "open":
    case "paused":
      return <p class="sub">Closes <Time at={sale.closes_at} />, in <span class="number">{countdown(left(sale.closes_at))}</span></p>;
    case "closed":
      return neverOpened(sale) ? <p class="sub">Called off <Time at={sale.closes_at} />, before it had opened</p> : <p class="sub">Closed <Time at={sale.closes_at} />, after {duration(Date.parse(sale.closes_at) - Date.parse(sale.opens_at))}</p>;
    default:
      return <p class="sub">{sale.status === "draft" ? "A draft: only operators see it." : "It opens by itself, by the store's clock."}</p>;
  }
}

function Body({ sale }: { sale: Sale }) {
  const running = sale.status === "open" || sale.status === "paused";
  const over = sale.status === "closed";
  const before = !running && !over;
  const shown = running || (over && !neverOpened(sale));
  const course = useCourse(sale, shown, running ? 1000 : 5000);
  return (
    <>
      <Stale of={course} />
      {before && <Ahead sale={sale} />}
      {shown && (may("sale") ? <Told sale={sale} course={course} /> : <Missing scope="sale" what="Seeing a sale's figures" />)}
      <div class="columns live">
        <div class="wide">
          {before && <LookedOver sale={sale} />}
          {shown && course.value && <><Plots samples={shownOf(course.value, sale)} /><ByItem course={course.value} /></>}
          {before && <Rehearse sale={sale} />}
          <Changes sale={sale} />
        </div>
        <div class="narrow">
          {shown && course.value && <Rates course={course.value} running={sale.status === "open"} />}
          <AuditPanel skus={sale.items.map((item) => item.sku)} title="Conservation" />
          <Terms sale={sale} times={!before} />
        </div>
      </div>
    </>
  );
}

function useCourse(sale: Sale, wanted: boolean, everyMs: number): Reading<Course> {
  const none = !wanted || !may("sale");
  return useReading(async (signal, before?: Course) => {
    if (none) {
      return follow(undefined, { sale_id: sale.id, now: new Date(serverNow(client.value)).toISOString(), state: sale.status, items: [], queued: 0, samples: [] });
    }
    const read = (since: string) => saleFigures(client.value, sale.id, { since }, { signal, retry: false });
    if (before) {
      return follow(before, await read(before.samples.at(-1)?.at ?? sale.opens_at));
    }
    // A long course comes in long samples: the last minutes second by second besides.
    const whole = await read(new Date(Date.parse(sale.opens_at) - 5000).toISOString());
    return whole.samples.some((s) => s.seconds > 2) ? sharpen(whole, await read(new Date(Date.parse(whole.now) - 9 * 60_000).toISOString())) : follow(undefined, whole);
  }, [client.value, sale.id, none], everyMs);
}

// From its opening until the last cart of it has run out.
function shownOf(course: Course, sale: Sale) {
  const until = sale.status === "closed" ? Date.parse(sale.closes_at) + sale.hold_seconds * 1000 : Infinity;
  return course.samples.filter((s) => Date.parse(s.at) >= Date.parse(sale.opens_at) && Date.parse(s.at) <= until);
}

function Told({ sale, course }: { sale: Sale; course: Reading<Course> }) {
  return (
    <Read from={{ ...course, error: course.value === undefined ? course.error : undefined }} what="the figures">
      {(c) => <>{sale.status === "closed" && <Result sale={sale} course={c} />}<Numbers of={totals(c.now)} /></>}
    </Read>
  );
}

function Result({ sale, course }: { sale: Sale; course: Course }) {
  const of = useMemo(() => result(course.samples, sale), [course.samples, sale.opens_at, sale.closes_at]);
  const t = totals(course.now);
  const refused = of.refusals.reduce((sum, [, n]) => sum + n, 0);
  const sold = <strong>{units(t.sold)}</strong>;
  return (
    <section class="result" aria-label="Result">
      <p class="headline">
        {sold} sold{of.offered > t.sold && <>, of {count(of.offered)}</>}
        {of.goneAfterMs !== null && <>; the last was taken {duration(of.goneAfterMs)} after it opened</>}.
      </p>
      <ul>
        <li><b class="number">{count(of.claims)}</b> claims were held, {units(of.units)}; at most {rate(of.peak)} in a second.</li>
        <li><b class="number">{count(refused)}</b> were refused{of.refusals.length > 0 && <>: {of.refusals.map(([code, n]) => `${count(n)} ${code.replaceAll("-", " ")}`).join(", ")}</>}.</li>
        {t.held + t.ordered > 0 && <li><b class="number">{count(t.held + t.ordered)}</b> are still in carts and unpaid orders: they may still be paid for.</li>}
        <li><a href={to(["orders"], { sale: sale.id })}>The orders of this sale</a></li>
      </ul>
    </section>
  );
}

function Ahead({ sale }: { sale: Sale }) {
  const left = (tick.value, remaining(client.value, sale.opens_at));
  return (
    <section class="ahead" aria-label="Opening">
      <div>
        <p class="note">{sale.status === "draft" ? "Would open in" : "Opens in"}</p>
        <p class="figure number" role="timer">{left > 0 ? countdown(left) : "now"}</p>
      </div>
      <dl class="meters">
        <div><dt>Opens</dt><dd><Time at={sale.opens_at} /></dd></div>
        <div><dt>Closes</dt><dd><Time at={sale.closes_at} /></dd></div>
        <div><dt>Open for</dt><dd>{duration(Date.parse(sale.closes_at) - Date.parse(sale.opens_at))}</dd></div>
        <div><dt>Zone</dt><dd>{zoneName(Date.parse(sale.opens_at))}</dd></div>
      </dl>
    </section>
  );
}

interface Around {
  products: Map<string, Product>;
  sales: Sale[];
}

function LookedOver({ sale }: { sale: Sale }) {
  const around = useReading(async (signal): Promise<Around> => {
    const products = new Map<string, Product>();
    for await (const p of each(listProducts, client.value, { sku: sale.items.map((item) => item.sku), limit: 100 }, { signal })) {
      products.set(p.sku, p);
    }
    const live = await listSales(client.value, { limit: 100, state: ["draft", "scheduled", "open", "paused"] }, { signal });
    return { products, sales: live.items };
  }, [client.value, sale.id, sale.updated_at], 10_000);
  return (
    <>
      <Panel title="Looked over"><Read from={around} what="stock and other sales">{({ products, sales }) => <Findings of={look(sale, products, sales, (tick.value, serverNow(client.value)))} />}</Read></Panel>
      <Panel title="What is planned" class="flush">
        <div class="scroll">
          <table class="list">
            <thead><tr><th scope="col">Product</th><th scope="col" class="number">Price</th><th scope="col" class="number">Otherwise</th><th scope="col" class="number">Set aside</th><th scope="col" class="number">Common stock</th></tr></thead>
            <tbody>
              {sale.items.map((item) => {
                const p = around.value?.products.get(item.sku);
                return (
                  <tr key={item.sku}>
                    <th scope="row"><a href={to(["products", item.sku])}>{p?.name ?? item.sku}</a></th>
                    <td class="number">{money(item.price)}</td>
                    <td class="number">{p ? money(p.price) : "…"}</td>
                    <td class="number">{item.quantity ? count(item.quantity) : "all of it"}</td>
                    <td class="number">{p ? `${p.availability.capped ? "over " : ""}${count(p.availability.available)}` : "…"}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </Panel>
    </>
  );
}

function Terms({ sale, times }: { sale: Sale; times: boolean }) {
  const aside = sale.items.filter((item) => item.quantity).map((item) => `${count(item.quantity!)} of ${item.sku}`).join(", ");
  return (
    <Panel title="Terms">
      <Facts of={[
        ...(times ? ([["Opened", <Time at={sale.opens_at} />], [sale.status === "closed" ? "Closed" : "Closes", <Time at={sale.closes_at} />]] as [string, ComponentChildren][]) : []),
        ["Products", sale.items.length > 3 ? plural(sale.items.length, "product") : sale.items.map((item) => <div key={item.sku}><a href={to(["products", item.sku])}>{item.sku}</a> {money(item.price)}</div>)],
        ["Set aside", aside || "nothing: from the common stock"],
        ["A buyer may have", sale.purchase_limit ? String(sale.purchase_limit) : "any number"],
        ["In one claim", `at most ${sale.max_quantity}`],
        ["A cart lasts", duration(sale.hold_seconds * 1000)],
        ["Cool-down", sale.cooldown_seconds ? duration(sale.cooldown_seconds * 1000) : "none"],
      ]} />
    </Panel>
  );
}
