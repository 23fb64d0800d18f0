// A sale in numbers: what is read again and again, and what is reckoned from it.
import type { SaleFigures, SaleSample } from "lastunit";
import { rate, units } from "./format";
import { duration } from "./time";

export const kept = ["available", "held", "ordered", "sold"] as const;
export type Kept = (typeof kept)[number];
export type Totals = Record<Kept, number>;

/** All samples that are known, the oldest first, and the latest figures. */
export interface Course {
  now: SaleFigures;
  samples: SaleSample[];
}

const samplesAtMost = 7200;

/** What was known, and what was read since. */
export function follow(before: Course | undefined, now: SaleFigures): Course {
  const last = before?.samples.at(-1)?.at ?? "";
  const samples = [...(before?.samples ?? []), ...now.samples.filter((s) => s.at > last)];
  return { now, samples: samples.slice(-samplesAtMost) };
}

/** A long course in long samples, with its last minutes second by second. */
export function sharpen(whole: SaleFigures, fine: SaleFigures): Course {
  const first = fine.samples[0];
  const from = first ? Date.parse(first.at) - first.seconds * 1000 : Infinity;
  const coarse = whole.samples.filter((s) => Date.parse(s.at) <= from);
  return { now: fine, samples: [...coarse, ...fine.samples] };
}

export function totals(figures: SaleFigures): Totals {
  const sum = { available: 0, held: 0, ordered: 0, sold: 0 };
  for (const item of figures.items) {
    kept.forEach((place) => (sum[place] += item[place]));
  }
  return sum;
}

export const inAll = (t: Totals): number => t.available + t.held + t.ordered + t.sold;

const byCodeOf = (s: SaleSample) => Object.entries(s.refusals as Record<string, number>);

export const refusalsOf = (s: SaleSample): number => byCodeOf(s).reduce((sum, [, n]) => sum + n, 0);

/** What came in a second, over the last so many seconds. */
export function perSecond(course: Course, of: (s: SaleSample) => number, overSeconds = 10): number {
  const from = Date.parse(course.now.now) - overSeconds * 1000;
  const recent = course.samples.filter((s) => Date.parse(s.at) > from);
  const seconds = recent.reduce((sum, s) => sum + s.seconds, 0);
  return seconds > 0 ? recent.reduce((sum, s) => sum + of(s), 0) / seconds : 0;
}

/** When the units will be gone at the present rate; and how that is known, in words. */
export interface Outlook {
  seconds: number | null;
  short: string;
  words: string;
}

const overSeconds = 30;

export function outlook(course: Course): Outlook {
  const now = totals(course.now);
  if (now.available === 0) {
    const may = now.held + now.ordered;
    return may > 0
      ? { seconds: null, short: "All taken", words: `Nothing is available; ${units(may)} in carts and unpaid orders may still come back.` }
      : { seconds: null, short: "Sold out", words: "Every unit is sold." };
  }
  const at = Date.parse(course.now.now);
  const then = course.samples.find((s) => Date.parse(s.at) >= at - overSeconds * 1000 - 500);
  const elapsed = then ? (at - Date.parse(then.at)) / 1000 : 0;
  const recent = course.samples.filter((s) => Date.parse(s.at) >= at - overSeconds * 1000);
  if (!then || elapsed < 2 || !recent.some((s) => s.claims > 0)) {
    return { seconds: null, short: "Not known", words: `No sales in the last ${overSeconds} s.` };
  }
  const taken = then.available - now.available;
  if (taken <= 0) {
    return { seconds: null, short: "Not falling", words: `In the last ${Math.round(elapsed)} s as many units came back as were claimed.` };
  }
  const seconds = Math.ceil((now.available * elapsed) / taken);
  const words = `${units(now.available)} left, going at ${rate(taken / elapsed)} a second: ${units(taken)} fewer in the last ${Math.round(elapsed)} s, what came back subtracted.`;
  return { seconds, short: duration(seconds * 1000), words };
}

/** What became of it all, of a sale that is over. */
export interface Result {
  claims: number;
  units: number;
  refusals: [string, number][];
  /** How many units there were to be had through it. */
  offered: number;
  /** How long after it opened nothing was available, for the first time. */
  goneAfterMs: number | null;
  /** The most claims in a second. */
  peak: number;
}

export function result(samples: SaleSample[], sale: { opens_at: string; closes_at: string }): Result {
  const inIt = samples.filter((s) => s.at >= sale.opens_at && s.at < sale.closes_at);
  const byCode = new Map<string, number>();
  for (const s of samples) {
    byCodeOf(s).forEach(([code, n]) => byCode.set(code, (byCode.get(code) ?? 0) + n));
  }
  const gone = inIt.find((s) => s.available === 0 && inAll(s) > 0);
  return {
    claims: samples.reduce((sum, s) => sum + s.claims, 0),
    units: samples.reduce((sum, s) => sum + s.units, 0),
    refusals: [...byCode].sort((a, b) => b[1] - a[1]),
    offered: inIt.reduce((most, s) => Math.max(most, inAll(s)), 0),
    goneAfterMs: gone ? Date.parse(gone.at) - Date.parse(sale.opens_at) : null,
    peak: samples.reduce((most, s) => Math.max(most, s.claims / Math.max(s.seconds, 1)), 0),
  };
}
