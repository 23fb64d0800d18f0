import { useSignal } from "@preact/signals";
import { isProblem } from "lastunit";
import type { Product } from "lastunit";
import { useEffect, useId, useRef } from "preact/hooks";
import { count, money, times } from "../shared/money";
import { add, adding, forget, held, heldOf, leave } from "./cart";
import { inSale, mostAtOnce, nameOf, priceOf } from "./catalogue";
import { Check, Line } from "./icons";
import { Notice, Timer, Waiting } from "./parts";
import { entry } from "./session";
import { now } from "./shop";
import { at } from "../shared/time";
import { advice } from "./words";

/** Puts a product into the cart, and tells what becomes of that. */
export function BuyBox({ product }: { product: Product }) {
  const { sku } = product;
  const quantity = useSignal(1);
  const state = adding.value[sku];
  const mine = heldOf(sku);
  const most = mostAtOnce(product, mine);
  const wanted = Math.max(1, Math.min(quantity.value, most));
  const price = priceOf(product);
  const open = product.availability.status === "available";

  if (!price) {
    return null;
  }
  if (state?.phase === "queued") {
    return <InLine sku={sku} position={state.position} />;
  }
  return (
    <div class="buy">
      {mine > 0 && <Yours sku={sku} mine={mine} />}
      {most === 0 && <p class="quiet small">That is as many as one person may have in this sale.</p>}
      {most > 0 && (open || state?.phase === "asking") && (
        <div class="row">
          {most > 1 && <Quantity product={product} most={most} value={wanted} onChange={(n) => (quantity.value = n)} />}
          <button
            type="button"
            class={mine > 0 ? "button" : "button main"}
            aria-disabled={state?.phase === "asking"}
            onClick={(event) => event.detail < 2 && add(sku, wanted)}
          >
            {state?.phase === "asking"
              ? <Waiting>Asking…</Waiting>
              : <>{mine > 0 ? "Add another" : "Add to cart"}{wanted > 1 && <span class="number"> · {money(times(price, wanted))}</span>}<span class="hidden-visually">: {nameOf(product)}</span></>}
          </button>
        </div>
      )}
      {!open && state?.phase !== "asking" && mine === 0 && <Closed product={product} />}
      {state?.phase === "refused" && <Refused product={product} error={state.error} wanted={wanted} />}
    </div>
  );
}

/** What a sale allows and keeps apart, in a line. */
export function Terms({ product }: { product: Product }) {
  const { sale, price } = product;
  if (!sale) {
    return null;
  }
  return (
    <>
      {sale.purchase_limit !== null && `${count(sale.purchase_limit)} for each person. `}
      {sale.allotted && price && `The sale has a share of these; the rest sells at ${money(price)}.`}
    </>
  );
}

function Quantity({ product, most, value, onChange }: { product: Product; most: number; value: number; onChange: (n: number) => void }) {
  const id = useId();
  const limit = product.sale?.purchase_limit;
  return (
    <div class="quantity">
      <label for={id} class="hidden-visually">How many of {nameOf(product)}{limit ? `, at most ${limit} for each person` : ""}</label>
      <select id={id} class="number" value={value} onChange={(event) => onChange(Number(event.currentTarget.value))}>
        {Array.from({ length: Math.min(most, 50) }, (_, i) => <option key={i} value={i + 1}>{i + 1}</option>)}
      </select>
    </div>
  );
}

function Yours({ sku, mine }: { sku: string; mine: number }) {
  const first = held.value.filter((t) => t.sku === sku).reduce<string | null>((least, t) => (least === null || t.expires_at! < least ? t.expires_at : least), null);
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    // What was pressed may have gone, because there are no more to be had.
    if (adding.peek()[sku]?.phase === "done" && document.activeElement === document.body) {
      link.current?.focus({ preventScroll: true });
    }
  }, []);
  return (
    <div class="yours">
      <p><Check /> <span><strong class="number">{count(mine)}</strong> in your cart</span> <Timer until={first} label="yours for" /></p>
      <a ref={link} class="button main" href="/cart">View cart</a>
    </div>
  );
}

function InLine({ sku, position }: { sku: string; position: number | null }) {
  return (
    <div class="queue">
      <p class="place"><Line /> <span>You are in line</span></p>
      <p class="ahead number">{position ? <><strong>{count(position)}</strong> asked for ahead of you</> : <strong>You are next</strong>}</p>
      <p class="quiet small">Your place is kept, also if you look around or reload this page.</p>
      <button type="button" class="button plain" onClick={() => void leave(sku)}>Leave the line</button>
    </div>
  );
}

// Why nothing can be added now, and what helps.
function Closed({ product }: { product: Product }) {
  const { status, next_release_at: next } = product.availability;
  const say: Partial<Record<typeof status, string>> = {
    all_held: next ? `Carts last a few minutes. Stay until ${at(next, now.value)}: when one comes back, you can add it here.` : "When one comes back, you can add it here.",
    sold_out: "Every one of them found its buyer.",
    not_open: "Stay here: the button comes by itself when the sale opens.",
    paused: "The shop has stopped the sale for a moment. It goes on here by itself.",
    ended: "This sale is over.",
    not_selling: "The shop has taken it off sale for now.",
  };
  return (
    <div class="closed">
      <button type="button" class="button" disabled>{status === "sold_out" ? "Sold out" : status === "all_held" ? "All in carts" : status === "not_open" ? "Not open yet" : status === "paused" ? "Paused" : "Not on sale"}</button>
      <p class="quiet small">{say[status]}</p>
    </div>
  );
}

// A sale with units of its own has run out of them, and others sell beside it.
function restBeside(product: Product, error: unknown): boolean {
  const code = typeof error === "string" ? error : isProblem(error) ? error.code : "";
  return ["sold-out", "all-held", "not-enough-units"].includes(code) && inSale(product) && product.sale.allotted && product.price !== null && product.availability.status === "available";
}

function Refused({ product, error, wanted }: { product: Product; error: unknown; wanted: number }) {
  const told = entry.value === "over" ? { title: "Your visit from the shop is over", text: "Go back to the shop and come here from there: your cart is kept." } : advice(error);
  if (restBeside(product, error)) {
    return (
      <Notice tone="warn" advice={{ title: "The sale's share is taken", text: `None of that many can be had at ${money(product.sale!.price)} right now. Some may come back from other carts; the rest sells at the usual price.` }}>
        <button type="button" class="button" onClick={() => add(product.sku, wanted)}>Try again</button>
        <button type="button" class="button" onClick={() => add(product.sku, wanted, true)}>Add at {money(product.price!)}</button>
      </Notice>
    );
  }
  return (
    <Notice tone="warn" advice={told}>
      {told.again && <button type="button" class="button" onClick={() => add(product.sku, wanted)}>Try again</button>}
      <button type="button" class="button plain" onClick={() => forget(product.sku)}>Dismiss</button>
    </Notice>
  );
}
