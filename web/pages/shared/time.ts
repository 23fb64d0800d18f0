const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** The viewer's zone, such as Europe/Lisbon. */
export const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** 12:04; of another day with the day before it. now is the service's time. */
export function at(instant: string | number, now: number): string {
  const date = new Date(instant);
  const sameDay = date.toDateString() === new Date(now).toDateString();
  return sameDay ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

export function dateTime(instant: string | number): string {
  return full.format(new Date(instant));
}

const two = (n: number) => String(n).padStart(2, "0");

/** What is left as a clock: 9:59, 1:02:03, 6 days 23 hours. Rounded up, so that 0:00 is the end. */
export function countdown(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  if (s >= 86400) {
    return inWords(ms);
  }
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

/** What is left in its parts, for a clock face. */
export function parts(ms: number): { days: number; hours: number; minutes: number; seconds: number } {
  const s = Math.max(0, Math.ceil(ms / 1000));
  return { days: Math.floor(s / 86400), hours: Math.floor((s % 86400) / 3600), minutes: Math.floor((s % 3600) / 60), seconds: s % 60 };
}

/** What is left in words, for those who listen: 2 minutes, 40 seconds. */
export function inWords(ms: number): string {
  const { days, hours, minutes, seconds } = parts(ms);
  const say = (n: number, unit: string) => `${n} ${unit}${n === 1 ? "" : "s"}`;
  if (days > 0) return hours > 0 ? `${say(days, "day")} ${say(hours, "hour")}` : say(days, "day");
  if (hours > 0) return minutes > 0 ? `${say(hours, "hour")} ${say(minutes, "minute")}` : say(hours, "hour");
  return minutes > 0 ? say(minutes, "minute") : say(seconds, "second");
}
