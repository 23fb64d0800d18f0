import { count } from "../shared/money";
import { CartPage } from "./CartPage";
import { held, heldUnits, lapsed, nextExpiry } from "./cart";
import { Home } from "./Home";
import { Alert, Bag } from "./icons";
import { OrderPage } from "./OrderPage";
import { OrdersPage } from "./OrdersPage";
import { Page, Timer } from "./parts";
import { ProductPage } from "./ProductPage";
import { route } from "./router";
import { entry } from "./session";
import { connection, spoken } from "./shop";

export function App() {
  return (
    <>
      <a class="skip" href="#main">Skip to the goods</a>
      <Header />
      <Connection />
      <View />
      <footer class="foot small">
        <p>Every unit here is sold exactly once. What is in your cart is yours until its time.</p>
        {entry.value === "shop" && <p>This shop sells to its own customers: come here from the shop to buy.</p>}
      </footer>
      <p class="hidden-visually" role="status">{spoken.value}</p>
    </>
  );
}

function View() {
  const r = route.value;
  switch (r.page) {
    case "home": return <Home />;
    case "product": return <ProductPage key={r.sku} sku={r.sku} />;
    case "cart": return <CartPage />;
    case "orders": return <OrdersPage />;
    case "order": return <OrderPage key={r.id} id={r.id} />;
    default: return (
      <Page title="There is no such page">
        <p class="quiet">The address may be misspelt, or what was here is gone.</p>
        <p><a class="button main" href="/">See what there is</a></p>
      </Page>
    );
  }
}

function Header() {
  const here = route.value.page;
  const units = heldUnits.value;
  return (
    <header class="top">
      <nav aria-label="Shop">
        <a class="brand" href="/" aria-current={here === "home" ? "page" : undefined}><Mark />lastunit</a>
        <a class="link" href="/orders" aria-current={here === "orders" ? "page" : undefined}>Orders</a>
        <a class={lapsed.value.length > 0 ? "bag alert" : "bag"} href="/cart" aria-current={here === "cart" ? "page" : undefined}>
          <Bag /><span>Cart</span>
          {units > 0 && <span class="count number">{count(units)}<span class="hidden-visually"> {units === 1 ? "unit" : "units"}</span></span>}
          {held.value.length > 0 && <Timer until={nextExpiry.value} />}
          {lapsed.value.length > 0 && <span class="ranout"><Alert /><span class="small">time ran out</span></span>}
        </a>
      </nav>
    </header>
  );
}

const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
    <rect width="32" height="32" rx="8" class="back" /><path d="M8 8h5v11h8v5H8z" class="l" /><rect x="19" y="8" width="6" height="6" rx="1.5" class="unit" />
  </svg>
);

/** A quiet word when the connection does not do what it should. */
function Connection() {
  const words = {
    offline: "You are offline. What is in your cart stays yours until its time; this page goes on by itself when you are back.",
    slow: "The connection is slow or broken. Trying again…",
    busy: "The shop is very busy. Trying again; nothing is lost.",
  };
  const state = connection.value;
  return <div class={state === "ok" ? "connection" : "connection shown"} role="status">{state !== "ok" && <p><Alert />{words[state]}</p>}</div>;
}
