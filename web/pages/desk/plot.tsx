// A plot over time, with a legend that tells the values, and a table for those who can't see it.
import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock } from "./time";

export interface Line {
  label: string;
  /** The colour token. */
  colour: string;
  values: (number | null)[];
  /** Fills down to the next, for what adds up. */
  dash?: number[];
}

interface Props {
  title: string;
  /** Instants, in seconds. */
  at: number[];
  lines: Line[];
  /** The lines are parts of a whole, the first lowest. */
  stacked?: boolean;
  height: number;
  format: (n: number) => string;
  unit?: string;
  /** What there is to see, in a sentence. */
  says: string;
}

export function Plot({ title, at, lines, stacked = false, height, format, unit = "", says }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const [asTable, setAsTable] = useState(false);
  const data = useMemo(() => dataOf(at, lines, stacked), [at, lines, stacked]);
  useUPlot(place, data, { lines, stacked, height, format, point: setPointed });
  const shown = pointed ?? at.length - 1;
  const id = useId();
  return (
    <figure class="plot" aria-labelledby={id}>
      <figcaption>
        <h3 id={id}>{title}{unit && <span class="note"> {unit}</span>}</h3>
        <button type="button" class="button plain small" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>Table</button>
        <ul class="legend">
          {lines.map((line) => {
            const value = line.values[shown];
            return <li key={line.label}><i class={`key ${line.dash ? "dashed" : ""}`} style={{ "--key": `var(${line.colour})` }} /> {line.label} <b class="number">{value === null || value === undefined ? "–" : format(value)}</b></li>;
          })}
          {pointed !== null && at[shown] !== undefined && <li class="at number">{clock(at[shown] * 1000)}</li>}
        </ul>
      </figcaption>
      <p class="hidden-visually">{says}</p>
      <div ref={place} class="canvas" aria-hidden="true" hidden={asTable} style={{ height: `${height}px` }} />
      {asTable && <Rows title={title} at={at} lines={lines} format={format} />}
    </figure>
  );
}

// At most 60 rows, evenly taken, the last of them the latest.
function Rows({ title, at, lines, format }: Pick<Props, "title" | "at" | "lines" | "format">) {
  const step = Math.max(1, Math.ceil(at.length / 60));
  const rows = at.map((_, i) => i).filter((i) => (at.length - 1 - i) % step === 0).reverse();
  return (
    <div class="scroll tall" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
      <table class="list">
        <thead><tr><th scope="col">At</th>{lines.map((l) => <th key={l.label} scope="col" class="number">{l.label}</th>)}</tr></thead>
        <tbody>{rows.map((i) => <tr key={i}><th scope="row">{clock(at[i]! * 1000)}</th>{lines.map((l) => <td key={l.label} class="number">{l.values[i] === null || l.values[i] === undefined ? "–" : format(l.values[i]!)}</td>)}</tr>)}</tbody>
      </table>
    </div>
  );
}

// What is stacked is drawn from the top down, each over the one above it.
function dataOf(at: number[], lines: Line[], stacked: boolean): uPlot.AlignedData {
  if (!stacked) {
    return [at, ...lines.map((l) => l.values)];
  }
  const sums: number[][] = [];
  lines.forEach((line, n) => sums.push(line.values.map((value, i) => (value ?? 0) + (n > 0 ? sums[n - 1]![i]! : 0))));
  return [at, ...sums.reverse()];
}

interface Drawn {
  lines: Line[];
  stacked: boolean;
  height: number;
  format: (n: number) => string;
  point: (i: number | null) => void;
}

function useUPlot(place: { current: HTMLDivElement | null }, data: uPlot.AlignedData, how: Drawn): void {
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(data);
  latest.current = data;
  const [theme, setTheme] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const change = () => setTheme((n) => n + 1);
    dark.addEventListener("change", change);
    return () => dark.removeEventListener("change", change);
  }, []);
  useEffect(() => {
    const box = place.current!;
    const made = new uPlot(optionsOf(box, how), latest.current, box);
    plot.current = made;
    const size = new ResizeObserver(() => box.clientWidth > 0 && made.setSize({ width: box.clientWidth, height: how.height }));
    size.observe(box);
    return () => {
      size.disconnect();
      made.destroy();
    };
  }, [theme, how.height, how.lines.map((l) => l.label).join()]);
  useEffect(() => plot.current?.setData(data), [data]);
}

function optionsOf(box: HTMLElement, how: Drawn): uPlot.Options {
  const css = getComputedStyle(box);
  const token = (name: string) => css.getPropertyValue(name).trim();
  const lines = how.stacked ? [...how.lines].reverse() : how.lines;
  const font = `12px ${token("--font")}`;
  const axis = { stroke: token("--ink-3"), font, grid: { stroke: token("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: box.clientWidth || 600,
    height: how.height,
    padding: [8, null, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "sale" }, drag: { x: false, y: false }, points: { show: !how.stacked } },
    scales: { y: { range: (_, _least, most) => [0, most > 0 ? most * (how.stacked ? 1.02 : 1.15) : 1] } },
    axes: [
      { ...axis, size: 26, space: 80, values: (_, splits) => splits.map((s) => clock(s * 1000)), grid: { show: false } },
      { ...axis, size: 52, space: 36, values: (_, splits) => splits.map((s) => how.format(s)) },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        stroke: token(line.colour),
        width: how.stacked ? 1 : 1.75,
        points: { show: false },
        spanGaps: false,
        ...(line.dash ? { dash: line.dash } : {}),
        ...(how.stacked ? { fill: token(line.colour) } : {}),
      })),
    ],
    hooks: { setCursor: [(u) => how.point(u.cursor.idx ?? null)] },
  };
}
