import type { Product, ProductSale } from "lastunit";
import { remaining } from "lastunit";
import { useEffect } from "preact/hooks";
import { count, money } from "../shared/money";
import { at, parts } from "../shared/time";
import { BuyBox, Terms } from "./BuyBox";
import { further, loadShelf, nameOf, product, shelf, shelfProblem, useLive } from "./catalogue";
import { Notice, Picture, Price, Stock, Title } from "./parts";
import { now, shop } from "./shop";
import { advice } from "./words";

export function Home() {
  useEffect(() => void loadShelf(), []);
  const skus = shelf.value ?? [];
  useLive(skus);
  const all = skus.map((sku) => product(sku).value).filter((p): p is Product => !!p);
  const sale = saleOf(all);
  const inIt = sale ? all.filter((p) => p.sale?.id === sale.id) : [];
  const rest = all.filter((p) => !inIt.includes(p));
  return (
    <main id="main" class="page wide">
      <Title text="lastunit" hidden />
      {sale && <Hero sale={sale} products={inIt} />}
      {inIt.length > 1 && <Shelf title="In this sale" products={inIt} />}
      {rest.length > 0 && <Shelf title={sale ? "Also in stock" : "In stock"} products={rest} />}
      {further.value && <p class="center"><button type="button" class="button" onClick={() => void loadShelf(true)}>Show more</button></p>}
      {all.length === 0 && <Nothing />}
    </main>
  );
}

// The sale that the page is about: one that is open, or paused, or the next to open.
function saleOf(products: Product[]): ProductSale | null {
  const order = { open: 0, paused: 1, scheduled: 2 };
  const sales = products.flatMap((p) => (p.sale ? [p.sale] : []));
  return sales.sort((a, b) => order[a.status] - order[b.status] || a.opens_at.localeCompare(b.opens_at))[0] ?? null;
}

function Hero({ sale, products }: { sale: ProductSale; products: Product[] }) {
  const [first] = products;
  return products.length === 1 && first ? <OfOne sale={sale} product={first} /> : <OfSeveral sale={sale} many={products.length} />;
}

function OfOne({ sale, product: p }: { sale: ProductSale; product: Product }) {
  const { status } = p.availability;
  return (
    <section class="hero" aria-label={sale.name}>
      <div class="told">
        <p class="eyebrow"><State sale={sale} /> <span>{sale.name}</span></p>
        <h2><a href={`/products/${encodeURIComponent(p.sku)}`}>{nameOf(p)}</a></h2>
        {p.description && <p class="lead">{p.description}</p>}
        <Face sale={sale} />
        <Price product={p} large ahead={sale.status === "scheduled"} />
        {sale.status === "scheduled" && status === "available" && p.price && <p class="small">{money(p.price)} until then, from what the sale leaves.</p>}
        {status !== "not_open" && <Stock product={p} />}
        <BuyBox product={p} />
        <p class="fine small"><Terms product={p} /></p>
      </div>
      <div class="shown"><Picture product={p} eager /></div>
    </section>
  );
}

// Its goods are on the shelf below.
function OfSeveral({ sale, many }: { sale: ProductSale; many: number }) {
  return (
    <section class="hero several" aria-label={sale.name}>
      <div class="told">
        <p class="eyebrow"><State sale={sale} /> <span>{count(many)} products</span></p>
        <h2>{sale.name}</h2>
        {sale.purchase_limit !== null && <p class="lead">{count(sale.purchase_limit)} for each person.</p>}
      </div>
      <div class="told"><Face sale={sale} /></div>
    </section>
  );
}

const State = ({ sale }: { sale: ProductSale }) => (
  <span class={`badge ${sale.status}`}>{{ open: "Open now", paused: "Paused", scheduled: "Opens soon" }[sale.status]}</span>
);

/** The clock of a sale: until it opens, or until it closes. */
function Face({ sale }: { sale: ProductSale }) {
  void now.value;
  const opens = sale.status === "scheduled";
  const instant = opens ? sale.opens_at : sale.closes_at;
  const { days, hours, minutes, seconds } = parts(remaining(shop, instant));
  const two = (n: number) => String(n).padStart(2, "0");
  return (
    <div class="face" role="timer" aria-live="off">
      <p class="what">{opens ? "Opens in" : "Closes in"}<span class="hidden-visually">: </span></p>
      <p class="digits number">
        {days > 0 && <span><b>{days}</b><i>{days === 1 ? "day" : "days"}</i></span>}
        <span><b>{two(hours)}</b><i>hours</i></span>
        <span><b>{two(minutes)}</b><i>min</i></span>
        <span><b>{two(seconds)}</b><i>sec</i></span>
      </p>
      <p class="when small">{opens ? "Opens" : "Closes"} {at(instant, now.value)}, by the shop's clock</p>
    </div>
  );
}

function Shelf({ title, products }: { title: string; products: Product[] }) {
  return (
    <section class="shelf">
      <h2>{title}</h2>
      <ul class="cards">
        {products.map((p) => (
          <li key={p.sku} class="card">
            <a class="cover" href={`/products/${encodeURIComponent(p.sku)}`}>
              <Picture product={p} />
              <h3>{nameOf(p)}</h3>
            </a>
            <Price product={p} />
            <Stock product={p} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Nothing() {
  if (shelfProblem.value) {
    return (
      <Notice tone="warn" advice={advice(shelfProblem.value)}>
        <button type="button" class="button" onClick={() => void loadShelf()}>Try again</button>
      </Notice>
    );
  }
  if (shelf.value === undefined) {
    return (
      <div class="cards" aria-hidden="true">
        {[1, 2, 3, 4].map((i) => <div key={i} class="card ghost"><div class="picture" /><p /><p /></div>)}
      </div>
    );
  }
  return (
    <div class="empty">
      <p class="big">The shelves are empty.</p>
      <p class="quiet">Nothing is for sale here yet. Whoever runs this shop adds products at the <a href="/desk">desk</a> or through <a href="/docs">the API</a>; they appear when this page is loaded again.</p>
      <button type="button" class="button" onClick={() => void loadShelf()}>Look again</button>
    </div>
  );
}
