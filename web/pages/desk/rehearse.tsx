import { getRehearsal, startRehearsal } from "lastunit";
import type { Rehearsal, RehearsalItem, RehearsalReport, Sale } from "lastunit";
import { useState } from "preact/hooks";
import { count, plural, rate, units } from "./format";
import { useAction, useReading } from "./reading";
import { client } from "./session";
import { duration } from "./time";
import { Button, Field, Needs, Panel, Problem, Read, Time, wrongWith } from "./ui";

/** Plays the planned sale on marked copies of its products, and tells what came of it. */
export function Rehearse({ sale }: { sale: Sale }) {
  return <Panel title="Rehearse it"><Needs scope="sale" what="Rehearsing"><Play sale={sale} /></Needs></Panel>;
}

// The last rehearsal of each sale, as long as the tab is open.
const place = (sale: Sale) => `lastunit.desk.rehearsal.${sale.id}`;

function Play({ sale }: { sale: Sale }) {
  const [id, setId] = useState(sessionStorage.getItem(place(sale)));
  const [buyers, setBuyers] = useState("500");
  const start = useAction(async (key, n: number) => {
    const started = await startRehearsal(client.value, sale.id, { buyers: n }, { key });
    sessionStorage.setItem(place(sale), started.id);
    setId(started.id);
    return `${plural(n, "buyer")} rehearse ${sale.name}, on copies that nobody sees.`;
  });
  const submit = (e: Event) => {
    e.preventDefault();
    void start.run(Number(buyers));
  };
  return (
    <>
      <form class="rehearse" onSubmit={submit}>
        <Field label="Buyers" error={wrongWith(start.error, "body.buyers")}>
          {(f) => <input {...f} type="number" required min={1} max={5000} value={buyers} onInput={(e) => setBuyers(e.currentTarget.value)} />}
        </Field>
        <Button type="submit" busy={start.busy}>Rehearse now</Button>
        <p class="note">As if it opened now: its items, prices, allotments, limit and cart time, on marked copies with as many units. Buyers see none of it, but it is real load on this service.</p>
      </form>
      <Problem error={start.error} />
      {id && <Played id={id} />}
    </>
  );
}

function Played({ id }: { id: string }) {
  const [over, setOver] = useState(false);
  const played = useReading(async (signal) => {
    const r = await getRehearsal(client.value, id, { signal, retry: false });
    setOver(r.status !== "running");
    return r;
  }, [client.value, id], over ? 0 : 500);
  return (
    <div class="played" aria-live="polite">
      <Read from={played} what="the rehearsal">
        {(r) => (r.status === "running" ? <Running r={r} /> : r.report ? <Report r={r} report={r.report} /> : <p class="verdict bad"><strong>It could not be played.</strong> {r.detail}</p>)}
      </Read>
    </div>
  );
}

function Running({ r }: { r: Rehearsal }) {
  const { sent, held, refused } = r.progress;
  return (
    <>
      <progress max={r.buyers} value={held + refused} aria-label="Buyers who have their answer" />
      <p class="note number">{count(sent)} of {plural(r.buyers, "buyer")} have asked; {count(held)} hold units, {count(refused)} were refused.</p>
    </>
  );
}

function Report({ r, report }: { r: Rehearsal; report: RehearsalReport }) {
  const broken = [...report.broken, ...report.items.flatMap((item) => item.broken.map((text) => `${item.sku}: ${text}`))];
  const taken = report.items.reduce((sum, item) => sum + item.units_held, 0);
  return (
    <>
      <p class={`verdict ${report.ok ? "good" : "bad"}`}>
        <strong>{report.ok ? "It holds." : `${plural(broken.length, "promise")} broken.`}</strong>{" "}
        {plural(r.buyers, "buyer")}, {units(taken)} taken, {report.audit_ok ? "the audit is clean" : "the audit found something wrong"}; <Time at={r.started_at} />{r.finished_at && <>, in {duration(Math.max(1000, Date.parse(r.finished_at) - Date.parse(r.started_at)))}</>}.
      </p>
      {broken.length > 0 && <ul class="broken">{broken.map((text) => <li key={text}>{text}</li>)}</ul>}
      <div class="scroll" tabIndex={0} role="region" aria-label="What came of it, by product">
        <table class="list">
          <thead><tr><th scope="col">Product</th><th scope="col" class="number">Buyers</th><th scope="col" class="number">Units</th><th scope="col" class="number">Taken</th><th scope="col" class="number">Left</th><th scope="col">Refused</th><th scope="col">Gone after</th><th scope="col" class="number">p50</th><th scope="col" class="number">p99</th></tr></thead>
          <tbody>{report.items.map((item) => <Row key={item.sku} item={item} />)}</tbody>
        </table>
      </div>
    </>
  );
}

function Row({ item }: { item: RehearsalItem }) {
  const refused = Object.entries(item.refused as Record<string, number>).map(([code, n]) => `${count(n)} ${code.replaceAll("-", " ")}`);
  const ms = (n: number | undefined) => (n === undefined ? "–" : `${rate(n)} ms`);
  return (
    <tr>
      <th scope="row">{item.sku}</th>
      <td class="number">{count(item.buyers)}</td>
      <td class="number">{count(item.stock)}</td>
      <td class="number">{count(item.units_held)}</td>
      <td class="number">{count(item.units_left)}</td>
      <td>{[...refused, ...(item.faults > 0 ? [`${count(item.faults)} not answered`] : [])].join(", ") || "nobody"}</td>
      <td>{item.sold_out_seconds === null ? "not gone" : `${rate(item.sold_out_seconds)} s`}</td>
      <td class="number">{ms(item.latency_ms?.p50)}</td>
      <td class="number">{ms(item.latency_ms?.p99)}</td>
    </tr>
  );
}
