// What several pages show.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { remaining } from "lastunit";
import type { Product } from "lastunit";
import { money } from "../shared/money";
import { countdown } from "../shared/time";
import { heldOf } from "./cart";
import { inSale, priceOf } from "./catalogue";
import { Alert, Clock, ToneIcon } from "./icons";
import { moved } from "./router";
import { now, shop } from "./shop";
import type { Advice } from "./words";
import { stockWords } from "./words";

/** The heading of a page names the document. It gets the focus when the reader came from another page, and when it says something new. */
export function Title({ text, hidden }: { text: string; hidden?: boolean }) {
  const h1 = useRef<HTMLHeadingElement>(null);
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    document.title = text === "lastunit" ? text : `${text} · lastunit`;
    if (before.current !== undefined || moved) {
      h1.current?.focus({ preventScroll: true });
    }
    before.current = text;
  }, [text]);
  return <h1 ref={h1} tabIndex={-1} class={hidden ? "hidden-visually" : undefined}>{text}</h1>;
}

export function Page({ title, children }: { title: string; children: ComponentChildren }) {
  return <main id="main" class="page"><Title text={title} />{children}</main>;
}

export function Picture({ product, eager }: { product: Pick<Product, "image_url" | "name" | "sku"> | null | undefined; eager?: boolean }) {
  const failed = useSignal(false);
  const url = product?.image_url;
  useEffect(() => void (failed.value = false), [url]);
  return (
    <div class="picture">
      {url && !failed.value
        ? <img src={url} alt="" loading={eager ? "eager" : "lazy"} decoding="async" width="480" height="480" onError={() => (failed.value = true)} />
        : <span class="initial" aria-hidden="true">{(product?.name ?? product?.sku ?? "").slice(0, 1).toUpperCase()}</span>}
    </div>
  );
}

/** What it costs now; ahead: what it will cost in the sale that is to open. */
export function Price({ product, large, ahead }: { product: Product; large?: boolean; ahead?: boolean }) {
  const price = ahead ? (product.sale?.price ?? null) : priceOf(product);
  const usual = product.price;
  if (!price) {
    return <p class="price quiet">Price at the shop</p>;
  }
  const less = (ahead || inSale(product)) && usual && usual.currency === price.currency && usual.amount > price.amount;
  return (
    <p class={large ? "price large number" : "price number"}>
      <strong>{money(price)}</strong>
      {less && <> <s><span class="hidden-visually">instead of </span>{money(usual)}</s></>}
      {less && <span class="off">−{Math.round(100 - (100 * price.amount) / usual.amount)} %</span>}
    </p>
  );
}

export function Stock({ product }: { product: Product }) {
  void now.value; // a day may have begun
  const { tone, text } = stockWords(product, heldOf(product.sku));
  return <p class={`stock ${tone}`}><ToneIcon tone={tone} /><span class="number">{text}</span></p>;
}

/** A hold's time. Who listens is told when it matters; the digits themselves would never stop talking. */
export function Timer({ until, label }: { until: string | null; label?: string }) {
  void now.value;
  const left = remaining(shop, until);
  const late = left < 60_000;
  return (
    <span class={late ? "timer late" : "timer"} role="timer" aria-live="off">
      {late ? <Alert /> : <Clock />}
      {label && <span>{label} </span>}
      <span class="number">{countdown(left)}</span>
    </span>
  );
}

export function Notice({ tone, advice, children }: { tone: "good" | "wait" | "warn" | "bad"; advice: Advice; children?: ComponentChildren }) {
  return (
    <div class={`notice ${tone}`}>
      <Alert />
      <div>
        <p class="title">{advice.title}</p>
        <p>{advice.text}</p>
        {(children || advice.href) && (
          <div class="actions">
            {children}
            {advice.href && <a class="button" href={advice.href}>{advice.label}</a>}
          </div>
        )}
      </div>
    </div>
  );
}

export const Waiting = ({ children }: { children: ComponentChildren }) => <p class="waiting"><span class="spinner" aria-hidden="true" />{children}</p>;
