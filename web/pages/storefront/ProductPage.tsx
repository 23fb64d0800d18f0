import { getProduct, isProblem } from "lastunit";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { count, money } from "../shared/money";
import { at, dateTime } from "../shared/time";
import { BuyBox } from "./BuyBox";
import { inSale, nameOf, product, useLive } from "./catalogue";
import { Back } from "./icons";
import { Notice, Page, Picture, Price, Stock, Timer, Title, Waiting } from "./parts";
import { now, shop } from "./shop";
import { advice } from "./words";

export function ProductPage({ sku }: { sku: string }) {
  const known = product(sku);
  const problem = useSignal<unknown>(null);
  const ask = async () => {
    try {
      known.value = await getProduct(shop, sku);
      problem.value = null;
    } catch (error) {
      problem.value = error;
      if (isProblem(error, "not-found") || isProblem(error, "validation")) known.value = null;
    }
  };
  useEffect(() => void ask(), [sku]);
  useLive([sku], true);
  const p = known.value;

  if (p === undefined) {
    return (
      <Page title="Product">
        {problem.value ? <Notice tone="warn" advice={advice(problem.value)}><button type="button" class="button" onClick={() => void ask()}>Try again</button></Notice> : <Waiting>Looking…</Waiting>}
      </Page>
    );
  }
  if (p === null) {
    return (
      <Page title="No such product">
        <p class="quiet">There is nothing called <code>{sku}</code> here. It may have been taken out of the catalogue.</p>
        <p><a class="button" href="/">See what there is</a></p>
      </Page>
    );
  }
  return (
    <main id="main" class="page wide">
      <p class="crumb"><a href="/"><Back /> All products</a></p>
      <div class="product">
        <Picture product={p} eager />
        <Facts p={p} />
      </div>
    </main>
  );
}

function Facts({ p }: { p: NonNullable<ReturnType<typeof product>["value"]> }) {
  return (
    <div class="facts">
      <Title text={nameOf(p)} />
      {p.description && <p class="lead">{p.description}</p>}
      <Price product={p} large />
      {p.sale && (
        <p class="inthe">
          <span class={`badge ${p.sale.status}`}>{p.sale.name}</span>
          {inSale(p)
            ? <Timer until={p.sale.closes_at} label="closes in" />
            : <span class="small">{money(p.sale.price)} from {at(p.sale.opens_at, now.value)} · <Timer until={p.sale.opens_at} label="opens in" /></span>}
        </p>
      )}
      <Stock product={p} />
      <BuyBox product={p} />
      <dl class="details small">
        {p.sale?.purchase_limit && <><dt>Limit</dt><dd>{count(p.sale.purchase_limit)} for each person</dd></>}
        {p.sale && <><dt>Sale</dt><dd>{dateTime(p.sale.opens_at)} to {dateTime(p.sale.closes_at)}</dd></>}
        {Object.entries(p.attributes).filter(([, v]) => typeof v !== "object").map(([k, v]) => <><dt>{k}</dt><dd>{String(v)}</dd></>)}
        <dt>Article</dt><dd><code>{p.sku}</code></dd>
      </dl>
    </div>
  );
}
