import type { Money } from "lastunit";

const formats = new Map<string, Intl.NumberFormat>();

function formatOf(currency: string): Intl.NumberFormat {
  let format = formats.get(currency);
  if (!format) {
    formats.set(currency, (format = new Intl.NumberFormat(undefined, { style: "currency", currency })));
  }
  return format;
}

/** An amount in the reader's way of writing, such as €69.00. */
export function money({ amount, currency }: Money): string {
  const format = formatOf(currency);
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

export function times(price: Money, quantity: number): Money {
  return { amount: price.amount * quantity, currency: price.currency };
}

const counts = new Intl.NumberFormat();

/** A count, such as 1,000. */
export function count(n: number): string {
  return counts.format(n);
}
