// Instants and durations in words, in the viewer's own zone.
import { signal } from "@preact/signals";

const locale = "en-GB"; // as the page's words are
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Now by this machine's clock, every second. */
export const tick = signal(Date.now());
setInterval(() => (tick.value = Date.now()), 1000);

/** The viewer's zone, as it is at an instant: "Europe/Berlin, GMT+1". */
export function zoneName(at: number = Date.now()): string {
  const parts = new Intl.DateTimeFormat(locale, { timeZoneName: "shortOffset" }).formatToParts(at);
  const offset = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
  return zone === offset || zone === "UTC" ? "UTC" : `${zone.replaceAll("_", " ")}, ${offset}`;
}

const day = new Intl.DateTimeFormat(locale, { weekday: "short", day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric" });
const minutes = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });

/** "14:03:07" */
export const clock = (at: number | string): string => seconds.format(new Date(at));

/** "14:03:07 today", "Sat 28 Nov, 14:03", "28 Nov 2025, 14:03" */
export function when(at: number | string, now: number = Date.now()): string {
  const then = new Date(at);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) {
    return `today ${seconds.format(then)}`;
  }
  return `${(then.getFullYear() === today.getFullYear() ? day : dayOfYear).format(then)}, ${minutes.format(then)}`;
}

/** With everything that there is to say about it, the zone too. */
export const fully = (at: number | string): string => full.format(new Date(at));

/** "4 s", "12 min 4 s", "3 h 20 min", "2 d 3 h" */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const units: [number, string][] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => s >= size);
  if (first < 0) {
    return "0 s";
  }
  return units.slice(first, first + 2).map(([size, name], i) => [Math.floor((i === 0 ? s : s % units[first]![0]) / size), name] as const)
    .filter(([n]) => n > 0).map(([n, name]) => `${n} ${name}`).join(" ");
}

/** "02:03:04", "3 d 02:03:04" */
export function countdown(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const days = Math.floor(s / 86_400);
  return `${days > 0 ? `${days} d ` : ""}${two((s % 86_400) / 3600)}:${two((s % 3600) / 60)}:${two(s % 60)}`;
}

/** What a datetime-local field shows for an instant. */
export function toLocalInput(at: string | number): string {
  const then = new Date(at);
  const local = new Date(then.getTime() - then.getTimezoneOffset() * 60_000).toISOString();
  return local.slice(0, then.getSeconds() === 0 ? 16 : 19);
}

/** The instant of what a datetime-local field shows; empty when it shows none. */
export function fromLocalInput(text: string): string {
  const at = new Date(text);
  return text === "" || Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
