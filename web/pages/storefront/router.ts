// Which page is shown, by the address.
import { computed, signal } from "@preact/signals";

const path = signal(location.pathname);

export type Route =
  | { page: "home" }
  | { page: "product"; sku: string }
  | { page: "cart" }
  | { page: "orders" }
  | { page: "order"; id: string }
  | { page: "nowhere" };

export const route = computed<Route>(() => {
  const [, first = "", second, ...rest] = path.value.split("/");
  if (rest.length > 0) return { page: "nowhere" };
  if (first === "" && second === undefined) return { page: "home" };
  if (first === "products" && second) return { page: "product", sku: decoded(second) };
  if (first === "cart" && second === undefined) return { page: "cart" };
  if (first === "orders") return second === undefined ? { page: "orders" } : { page: "order", id: decoded(second) };
  return { page: "nowhere" };
});

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Whether the reader has gone from page to page: then the page's heading gets the focus, so that it is read out. */
export let moved = false;

export function go(to: string): void {
  if (to === path.value) {
    return;
  }
  history.pushState(null, "", to);
  moved = true;
  path.value = to;
  scrollTo(0, 0);
}

addEventListener("popstate", () => {
  moved = true;
  path.value = location.pathname;
});

// Links of the storefront need nothing of their own.
document.addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.defaultPrevented) {
    return;
  }
  if (link.target || link.origin !== location.origin || !/^\/(cart|orders(\/.*)?|products\/.*)?$/.test(link.pathname) || link.hash) {
    return;
  }
  event.preventDefault();
  go(link.pathname);
});
