import type { Money } from "lastunit";
import { money as amount } from "../shared/money";

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

export const count = (n: number): string => whole.format(n);

/** "3.2", "118": no more places than one can read. */
export const rate = (n: number): string => (n < 100 ? tenths : whole).format(n);

/** "1 unit", "1,204 units" */
export const units = (n: number): string => plural(n, "unit");

export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

/** "1 of 200" as a share: "0.5 %". What is not all is never shown as 100 %. */
export function share(part: number, all: number): string {
  if (all === 0) {
    return "–";
  }
  const percent = (100 * part) / all;
  return `${tenths.format(part < all ? Math.min(percent, 99.9) : percent)} %`;
}

function places(currency: string): number {
  try {
    return new Intl.NumberFormat("en-GB", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

/** An amount; a dash where only the shop beside knows it. */
export const money = (m: Money | null): string => (m === null ? "–" : amount(m));

/** The minor units of what was typed, such as 12.90; NaN when it is no amount of the currency. */
export function toMinor(text: string, currency: string): number {
  const digits = places(currency);
  const plain = text.trim().replace(",", ".");
  const form = digits === 0 ? /^\d+$/ : new RegExp(`^\\d+(\\.\\d{1,${digits}})?$`);
  return form.test(plain) ? Math.round(Number(plain) * 10 ** digits) : NaN;
}

/** What a field shows for an amount. */
export const fromMinor = (m: Money): string => (m.amount / 10 ** places(m.currency)).toFixed(places(m.currency));

/** The end of an id, which tells ids apart. */
export const shortId = (id: string): string => `…${id.slice(-8)}`;
