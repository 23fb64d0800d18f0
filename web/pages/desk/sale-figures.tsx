// The figures of a sale, as an instrument.
import type { SaleSample } from "lastunit";
import { useMemo } from "preact/hooks";
import type { Course, Totals } from "./figures";
import { inAll, kept, outlook, perSecond, refusalsOf } from "./figures";
import { count, rate, share } from "./format";
import { Plot } from "./plot";
import type { Line } from "./plot";
import { to } from "./route";
import { placeMeans } from "./stock";
import { clock } from "./time";
import { Panel } from "./ui";

/** The big numbers. */
export function Numbers({ of }: { of: Totals }) {
  const all = inAll(of);
  return (
    <dl class="numbers">
      {kept.map((place) => (
        <div key={place} class={`place ${place}`}>
          <dt>{place}</dt>
          <dd class="number">{count(of[place])}</dd>
          <dd class="note">{share(of[place], all)} <span class="means">{placeMeans[place]}</span></dd>
        </div>
      ))}
    </dl>
  );
}

const ms = (n: number | null) => (n === null ? "–" : n < 1000 ? `${rate(n)} ms` : `${rate(n / 1000)} s`);

/** How fast it goes, and when it is over at this rate. */
export function Rates({ course, running }: { course: Course; running: boolean }) {
  const next = outlook(course);
  const latency = [...course.samples].reverse().find((s) => s.latency_ms !== null && Date.parse(course.now.now) - Date.parse(s.at) < 30_000)?.latency_ms ?? null;
  return (
    <Panel title="Pace" class="pace">
      {running && (
        <div class="outlook">
          {next.seconds !== null && <p class="note">Sold out at this rate in</p>}
          <p class={`figure number ${next.seconds === null ? "unknown" : ""}`}>{next.seconds === null ? next.short : `about ${next.short}`}</p>
          <p class="note">{next.words}</p>
        </div>
      )}
      <dl class="meters">
        <div><dt>Claims</dt><dd class="number">{rate(perSecond(course, (s) => s.claims))}<small>/s</small></dd></div>
        <div><dt>Refusals</dt><dd class="number">{rate(perSecond(course, refusalsOf))}<small>/s</small></dd></div>
        <div><dt>In the queue</dt><dd class="number">{count(course.now.queued)}</dd></div>
        <div><dt>Latency p50</dt><dd class="number">{ms(latency?.p50 ?? null)}</dd></div>
        <div><dt>Latency p99</dt><dd class="number">{ms(latency?.p99 ?? null)}</dd></div>
      </dl>
      <p class="note">Rates over the last 10 s. Latency of the last second with a claim in it, at most 30 s ago.</p>
    </Panel>
  );
}

const colours = { available: "--plot-available", held: "--plot-held", ordered: "--plot-ordered", sold: "--plot-sold" };

/** The course over time: where the units were, what came, and how long it took. */
export function Plots({ samples }: { samples: SaleSample[] }) {
  const at = useMemo(() => samples.map((s) => Date.parse(s.at) / 1000), [samples]);
  const byPlace = useMemo(() => [...kept].reverse().map((place): Line => ({ label: place, colour: colours[place], values: samples.map((s) => s[place]) })), [samples]);
  const traffic = useMemo((): Line[] => [
    { label: "claims", colour: "--plot-available", values: samples.map((s) => s.claims / (s.seconds || 1)) },
    { label: "refusals", colour: "--bad", values: samples.map((s) => refusalsOf(s) / (s.seconds || 1)), dash: [4, 3] },
  ], [samples]);
  const latency = useMemo((): Line[] => [
    { label: "p50", colour: "--plot-ordered", values: samples.map((s) => s.latency_ms?.p50 ?? null) },
    { label: "p99", colour: "--warn", values: samples.map((s) => s.latency_ms?.p99 ?? null), dash: [4, 3] },
  ], [samples]);
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || samples.length < 2) {
    return <Panel title="Course"><p class="empty">A plot comes when there is something to draw: the first figures are a few seconds away.</p></Panel>;
  }
  const span = `From ${clock(first.at)} to ${clock(last.at)}`;
  const moved = kept.map((place) => `${place} ${count(first[place])} to ${count(last[place])}`).join(", ");
  return (
    <div class="plots">
      <div class="panel"><Plot title="Units by place" stacked at={at} lines={byPlace} height={260} format={count} says={`${span}: ${moved}.`} /></div>
      <div class="panel"><Plot title="Claims and refusals" unit="a second" at={at} lines={traffic} height={150} format={rate} says={`${span}: at most ${rate(most(traffic[0]!))} claims and ${rate(most(traffic[1]!))} refusals a second.`} /></div>
      <div class="panel"><Plot title="Latency of claims" unit="ms" at={at} lines={latency} height={150} format={rate} says={`${span}: half of the claims were answered within at most ${rate(most(latency[0]!))} ms, 99 of 100 within ${rate(most(latency[1]!))} ms.`} /></div>
    </div>
  );
}

const most = (line: Line) => line.values.reduce<number>((m, v) => Math.max(m, v ?? 0), 0);

/** By product, where there are several. */
export function ByItem({ course }: { course: Course }) {
  if (course.now.items.length < 2) {
    return null;
  }
  return (
    <Panel title="By product" class="flush">
      <div class="scroll">
        <table class="list">
          <thead><tr><th scope="col">Product</th>{kept.map((place) => <th key={place} scope="col" class="number">{place}</th>)}<th scope="col">Gone</th></tr></thead>
          <tbody>
            {course.now.items.map((item) => (
              <tr key={item.sku}>
                <th scope="row"><a href={to(["products", item.sku])}>{item.sku}</a></th>
                {kept.map((place) => <td key={place} class="number">{count(item[place])}</td>)}
                <td>{share(inAll(item) - item.available, inAll(item))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
