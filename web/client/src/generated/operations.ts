// Generated from openapi.yaml by `make client`. Do not edit.

import { call, part } from "../call.js";
import type { CallOptions, Client, WaitOptions } from "../call.js";
import type { Call } from "../problem.js";
import type { Audit, AuditBody, Cart, CheckoutBody, ClaimBody, ConfirmBody, Delivery, DeliveryPage, EventPage, ExtendBody, Health, Import, Order, OrderPage, PayBody, Product, ProductPage, ProductPut, QuarantineRelease, QuarantineReleaseBody, Receipt, ReceiptBody, RefundBody, Rehearsal, RehearsalBody, ReplayBody, Sale, SaleBody, SaleChangePage, SaleFigures, SalePage, SalePatch, Selling, Session, Stock, Transaction, Unit, Webhook, WebhookBody, WebhookPage, WebhookPatch, WebhookSecret, WebhookWithSecret, Withdrawal, WithdrawalBody } from "./types.js";

/** What {@link getAudit} may be refused for. */
export type GetAuditCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Read the last audit
 *
 * The audit that finished last.
 *
 * Needs an API key with the scope `audit`.
 */
export function getAudit(client: Client, options?: CallOptions): Call<Audit, GetAuditCode> {
  return call(client, "GET", "/api/v1/audit", {}, options);
}

/** What {@link runAudit} may be refused for. */
export type RunAuditCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Run an audit now
 *
 * Checks the invariants, product by product, and answers with what it found. An audit that finds something is a success of the audit: look at `ok`.
 *
 * Needs an API key with the scope `audit`.
 */
export function runAudit(client: Client, body: AuditBody = {}, options?: CallOptions): Call<Audit, RunAuditCode> {
  return call(client, "POST", "/api/v1/audit", { body, keyed: true }, options);
}

/** What {@link getCart} may be refused for. */
export type GetCartCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look into the cart
 *
 * The buyer's holds with their totals and the next expiry, and the requests that are queued. Lapsed holds are gone from it.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function getCart(client: Client, options?: CallOptions): Call<Cart, GetCartCode> {
  return call(client, "GET", "/api/v1/cart", {}, options);
}

/** What {@link release} may be refused for. */
export type ReleaseCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Give a hold back, or cancel a queued request
 *
 * The units can be claimed by others at once. A queued request is cancelled. What has already been released, has expired or was refused stays as it is, and that is no error.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function release(client: Client, transaction_id: string, options?: CallOptions): Call<void, ReleaseCode> {
  return call(client, "DELETE", `/api/v1/cart/${part(transaction_id)}`, {}, options);
}

export interface ListEventsQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
  /** Only these; repeat it for several. */
  type?: ("order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired")[] | null;
}

/** What {@link listEvents} may be refused for. */
export type ListEventsCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Read what happened
 *
 * What happened to orders, sales and the stock of products, in one order that never changes: whoever goes on from `next_cursor` misses nothing, also not what was committed late. Those that end in `.repaired` tell what an operator had repaired that an audit had found broken: `check`, what it was about, and `done` in words. `next_cursor` is always there, on the last page as well: it is where to go on when more has happened. Without `cursor` it begins with the first event.
 *
 * Needs an API key with the scope `order`.
 */
export function listEvents(client: Client, query: ListEventsQuery = {}, options?: CallOptions): Call<EventPage, ListEventsCode> {
  return call(client, "GET", "/api/v1/events", { query }, options);
}

export interface ImportSheetQuery {
  /** Change nothing, and answer what would be changed. */
  dry_run?: boolean;
  /** What the prices are in, where the columns do not say. Of a sheet that names several: those that may be. */
  currency?: string[] | null;
}

/** What {@link importSheet} may be refused for. */
export type ImportSheetCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Import products and stock
 *
 * Products and stock from a CSV file of up to 16 MiB: in our own columns, or as Shopify exports products and inventory, which the header tells. All of it, or nothing when anything is wrong with it: then `errors` names up to 100 lines (`body.lines[12].price`), and `detail` says how many things are wrong. With `dry_run` nothing is changed, and the answer lists what would be. The same file twice changes nothing: units come in once for each product and reference, once for each serial, and up to a level.
 *
 * A sheet that brings units in needs a key that may `stock` as well.
 *
 * A replay (the same `Idempotency-Key`) shows that nothing was changed by it: all counts but `lines` are 0, with `Idempotency-Replayed: true`. A dry run binds no key.
 *
 * Needs an API key with the scope `catalog`.
 */
export function importSheet(client: Client, body: Blob | string, query: ImportSheetQuery = {}, options?: CallOptions): Call<Import, ImportSheetCode> {
  return call(client, "POST", "/api/v1/imports", { body, media: "text/csv", query, keyed: true }, options);
}

/** What {@link claimQueued} may be refused for. */
export type ClaimQueuedCode =
  | "all-held"
  | "busy"
  | "cool-down"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-enough-units"
  | "not-found"
  | "not-selling"
  | "outcome-unknown"
  | "payload-too-large"
  | "purchase-limit"
  | "request-timeout"
  | "sale-ended"
  | "sale-not-open"
  | "sale-paused"
  | "sold-out"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Add to the cart, in turn
 *
 * Accepts the request, which is then on disk, and answers 202 at once: whoever is accepted first is served first. What became of it is told by the transaction, at `Location`: ask again after `Retry-After`, with `wait`, or watch its events. What needs no stock to be decided (an unknown product, one that is off sale or sold out for good, a sale that is not open, paused or over, a limit that is reached) is answered at once and not stored.
 *
 * `Prefer: wait=N` waits up to N seconds (at most 30) for the turn: 201 when the units are held, the problem when there were none, 202 when the turn has not come by then; `Preference-Applied` confirms it.
 *
 * With `sale_id` the units come through that sale and no other. Without it they come through the sale that is open for the product, if there is one and it has units, else normally, at the product's price; a product that a scheduled sale keeps for itself is `sale-not-open` until then. The sale decides the price, the length of the hold, how many one claim and one buyer may have, and the pause after an expired hold.
 *
 * It shares its keys with `POST /order/addToCart`. A replay shows the transaction as it now is: 202 while it is queued, 201 once it is held, the problem if it was refused.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function claimQueued(client: Client, body: ClaimBody, options?: WaitOptions): Call<Transaction, ClaimQueuedCode> {
  return call(client, "POST", "/api/v1/order/addToCart", { body, keyed: true }, options);
}

/** What {@link checkout} may be refused for. */
export type CheckoutCode =
  | "busy"
  | "cart-empty"
  | "conflict"
  | "forbidden"
  | "hold-expired"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Order what is in the cart
 *
 * Makes one order of holds, all or none, with the prices that they were held at: of those that `transaction_ids` names, or of the whole cart. It is to be paid by `pay_by`; until then the units stay with it. One that is not paid by then is cancelled (`payment-overdue`), and its units can be claimed. Lapsed holds are named by `hold-expired` and are gone from the cart then; the others stay in it. Products without a price are ordered by the shop beside, with `confirm`.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function checkout(client: Client, body: CheckoutBody = {}, options?: CallOptions): Call<Order, CheckoutCode> {
  return call(client, "POST", "/api/v1/order/checkout", { body, keyed: true }, options);
}

export interface ListOrdersQuery {
  /** Only those with this reference. */
  reference?: string;
  /** Only those with this status. */
  state?: "awaiting_payment" | "paid" | "cancelled" | "refunded";
  /** Only this buyer's; not for buyers. */
  buyer?: string;
  /** Only those with units of this sale. */
  sale?: string;
  /** Only those that were made then or later (RFC 3339). */
  since?: string;
  /** Only those that were made before (RFC 3339). */
  until?: string;
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
}

/** What {@link listOrders} may be refused for. */
export type ListOrdersCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * List the orders
 *
 * The newest first. A buyer sees their own.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`: then it is about that buyer's own. Or an API key with the scope `order`, without `Buyer-Id`: then it is about everybody's.
 */
export function listOrders(client: Client, query: ListOrdersQuery = {}, options?: CallOptions): Call<OrderPage, ListOrdersCode> {
  return call(client, "GET", "/api/v1/orders", { query }, options);
}

/** What {@link confirm} may be refused for. */
export type ConfirmCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "hold-expired"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Confirm what the shop beside was paid for
 *
 * The shop beside was paid: holds of one buyer become one paid order, all or none, with the provider `external`. A hold that has lapsed gets equal units if there are any; else `hold-expired` names it, and nothing is sold. A reference confirms once: a second call shows what the first made (`Idempotency-Replayed`), with or without an Idempotency-Key.
 *
 * Needs an API key with the scope `order`.
 */
export function confirm(client: Client, body: ConfirmBody, options?: CallOptions): Call<Order, ConfirmCode> {
  return call(client, "POST", "/api/v1/orders/confirm", { body, keyed: true }, options);
}

export interface ExportOrdersQuery {
  /** Only those with this reference. */
  reference?: string;
  /** Only those with this status. */
  state?: "awaiting_payment" | "paid" | "cancelled" | "refunded";
  /** Only this buyer's; not for buyers. */
  buyer?: string;
  /** Only those with units of this sale. */
  sale?: string;
  /** Only those that were made then or later (RFC 3339). */
  since?: string;
  /** Only those that were made before (RFC 3339). */
  until?: string;
  /** csv or JSON lines. Default: csv. */
  format?: "csv" | "jsonl";
}

/** What {@link exportOrders} may be refused for. */
export type ExportOrdersCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Export the orders
 *
 * All orders that the filters ask for, the newest first, as a stream. `csv` has a line for each line of an order, below a line of names; `jsonl` has an order, as GET shows it, on each line. Amounts are in minor units. A cell of `csv` that a spreadsheet would take for a formula begins with an apostrophe. A stream that breaks off is incomplete: the connection ends without the end of the body, so that clients report an error.
 *
 * Needs an API key with the scope `order`.
 */
export function exportOrders(client: Client, query: ExportOrdersQuery = {}, options?: CallOptions): Call<Response, ExportOrdersCode> {
  return call(client, "GET", "/api/v1/orders/export", { query, raw: true }, options);
}

/** What {@link getOrder} may be refused for. */
export type GetOrderCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look at an order
 *
 * As it now is. One that is overdue shows as cancelled.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`: then it is about that buyer's own. Or an API key with the scope `order`, without `Buyer-Id`: then it is about everybody's.
 */
export function getOrder(client: Client, id: string, options?: CallOptions): Call<Order, GetOrderCode> {
  return call(client, "GET", `/api/v1/orders/${part(id)}`, {}, options);
}

/** What {@link cancel} may be refused for. */
export type CancelCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Cancel an unpaid order
 *
 * An order that is not paid: its units can be claimed by others at once, and count no more against a limit. One that is cancelled stays so, and that is no error.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function cancel(client: Client, id: string, options?: CallOptions): Call<Order, CancelCode> {
  return call(client, "POST", `/api/v1/orders/${part(id)}/cancel`, { keyed: true }, options);
}

/** What {@link pay} may be refused for. */
export type PayCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "payment-failed"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Pay for an order
 *
 * Takes the money with the store's payment provider and answers when that is decided. The answer is the order: `paid`, or with the payment `pending` when the provider takes its time; ask for the order later then. While a payment is under way, another call waits for it and shows what became of it.
 *
 * The built-in provider `test` takes no money. Its cards: `succeed`, `decline`, `hang`, `late` (after 2 seconds), `late:20s`, `twice`.
 *
 * With `stripe`, send nothing, and confirm the payment in the browser with Stripe.js and `payment.client_secret` of the answer; the order is `paid` a moment after that. Asked again while the payment is `pending`, it answers the same secret. Or send a `payment_method`, which is confirmed at once; when its bank wants to hear from the buyer, the payment is `pending`, and `client_secret` is for Stripe.js to go on with.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function pay(client: Client, id: string, body: PayBody = {}, options?: CallOptions): Call<Order, PayCode> {
  return call(client, "POST", `/api/v1/orders/${part(id)}/pay`, { body, keyed: true }, options);
}

/** What {@link refund} may be refused for. */
export type RefundCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Take units back
 *
 * Takes units of a paid order back, all that it still has or those that `unit_ids` names, and puts each where `restock` says. What they cost is given back by the store's payment provider; money that the shop beside took (`external`) is the shop's to give back. An order without units left is `refunded`.
 *
 * Needs an API key with the scope `order`.
 */
export function refund(client: Client, id: string, body: RefundBody, options?: CallOptions): Call<Order, RefundCode> {
  return call(client, "POST", `/api/v1/orders/${part(id)}/refund`, { body, keyed: true }, options);
}

export interface ListProductsQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
  /** Only these; repeat it for several. */
  sku?: string[] | null;
}

/** What {@link listProducts} may be refused for. */
export type ListProductsCode =
  | "busy"
  | "internal"
  | "too-many-requests"
  | "validation";

/**
 * List the products
 *
 * By SKU, with what can be claimed of each at this moment.
 */
export function listProducts(client: Client, query: ListProductsQuery = {}, options?: CallOptions): Call<ProductPage, ListProductsCode> {
  return call(client, "GET", "/api/v1/products", { query, open: true }, options);
}

/** What {@link deleteProduct} may be refused for. */
export type DeleteProductCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Delete a rehearsal's product
 *
 * With its units and transactions. Only products that were created with `rehearsal` can be deleted: others have a history that must stay.
 *
 * Needs an API key with the scope `catalog`.
 */
export function deleteProduct(client: Client, sku: string, options?: CallOptions): Call<void, DeleteProductCode> {
  return call(client, "DELETE", `/api/v1/products/${part(sku)}`, {}, options);
}

/** What {@link getProduct} may be refused for. */
export type GetProductCode =
  | "busy"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "validation";

/**
 * Look at a product
 *
 * With what can be claimed of it at this moment.
 */
export function getProduct(client: Client, sku: string, options?: CallOptions): Call<Product, GetProductCode> {
  return call(client, "GET", `/api/v1/products/${part(sku)}`, { open: true }, options);
}

/** What {@link putProduct} may be refused for. */
export type PutProductCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Create or replace a product
 *
 * Replaces everything that is known of the product except its stock. Without a price it can't be sold here, only by a shop beside. `rehearsal` counts when the product is created and can't be changed later.
 *
 * Needs an API key with the scope `catalog`.
 */
export function putProduct(client: Client, sku: string, body: ProductPut, options?: CallOptions): Call<Product, PutProductCode> {
  return call(client, "PUT", `/api/v1/products/${part(sku)}`, { body }, options);
}

/** What {@link releaseQuarantine} may be refused for. */
export type ReleaseQuarantineCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-enough-units"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Let units out of quarantine
 *
 * So many units, those first that have been there longest, or those that `unit_ids` names; all or none. They can be claimed again as soon as it is answered, from the common stock.
 *
 * A replay (the same `Idempotency-Key`) shows that nothing was released by it: `quantity` 0 and no `unit_ids`, with `Idempotency-Replayed: true`.
 *
 * Needs an API key with the scope `stock`.
 */
export function releaseQuarantine(client: Client, sku: string, body: QuarantineReleaseBody, options?: CallOptions): Call<QuarantineRelease, ReleaseQuarantineCode> {
  return call(client, "POST", `/api/v1/products/${part(sku)}/quarantine/release`, { body, keyed: true }, options);
}

/** What {@link receive} may be refused for. */
export type ReceiveCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Receive units
 *
 * Either a quantity, or a list of serials, one a unit. The units can be claimed as soon as it is answered. A serial comes in once in the life of a product.
 *
 * Needs an API key with the scope `stock`.
 */
export function receive(client: Client, sku: string, body: ReceiptBody, options?: CallOptions): Call<Receipt, ReceiveCode> {
  return call(client, "POST", `/api/v1/products/${part(sku)}/receipts`, { body, keyed: true }, options);
}

/** What {@link getStock} may be refused for. */
export type GetStockCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Count the units by place
 *
 * Exactly, from one snapshot. Units in lapsed holds count as available.
 *
 * Needs an API key with the scope `stock`.
 */
export function getStock(client: Client, sku: string, options?: CallOptions): Call<Stock, GetStockCode> {
  return call(client, "GET", `/api/v1/products/${part(sku)}/stock`, {}, options);
}

/** What {@link withdraw} may be refused for. */
export type WithdrawCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-enough-units"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Withdraw units for good
 *
 * Available units, or units in quarantine, all or none. Units in lapsed holds are available; those of an allotment are its sale's.
 *
 * Needs an API key with the scope `stock`.
 */
export function withdraw(client: Client, sku: string, body: WithdrawalBody, options?: CallOptions): Call<Withdrawal, WithdrawCode> {
  return call(client, "POST", `/api/v1/products/${part(sku)}/withdrawals`, { body, keyed: true }, options);
}

/** What {@link getRehearsal} may be refused for. */
export type GetRehearsalCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look at a rehearsal
 *
 * How far it is, and in the end what came of it. One whose server has gone shows as failed.
 *
 * Needs an API key with the scope `sale`.
 */
export function getRehearsal(client: Client, id: string, options?: CallOptions): Call<Rehearsal, GetRehearsalCode> {
  return call(client, "GET", `/api/v1/rehearsals/${part(id)}`, {}, options);
}

export interface ListSalesQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
  /** Only those with this status; repeat it for several. */
  state?: ("draft" | "scheduled" | "open" | "paused" | "closed")[] | null;
}

/** What {@link listSales} may be refused for. */
export type ListSalesCode =
  | "busy"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * List the sales
 *
 * The newest first. Drafts are shown to keys with the scope `sale` alone.
 *
 * Needs nobody. Credentials that are sent must be good; an API key with the scope `sale` is shown more.
 */
export function listSales(client: Client, query: ListSalesQuery = {}, options?: CallOptions): Call<SalePage, ListSalesCode> {
  return call(client, "GET", "/api/v1/sales", { query }, options);
}

/** What {@link planSale} may be refused for. */
export type PlanSaleCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Plan a sale
 *
 * As a draft, which only keys with the scope `sale` can see, until it is scheduled.
 *
 * Needs an API key with the scope `sale`.
 */
export function planSale(client: Client, body: SaleBody, options?: CallOptions): Call<Sale, PlanSaleCode> {
  return call(client, "POST", "/api/v1/sales", { body, keyed: true }, options);
}

/** What {@link getSale} may be refused for. */
export type GetSaleCode =
  | "busy"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look at a sale
 *
 * As it now is, by the store's clock. Drafts are shown to keys with the scope `sale` alone.
 *
 * Needs nobody. Credentials that are sent must be good; an API key with the scope `sale` is shown more.
 */
export function getSale(client: Client, id: string, options?: CallOptions): Call<Sale, GetSaleCode> {
  return call(client, "GET", `/api/v1/sales/${part(id)}`, {}, options);
}

/** What {@link changeSale} may be refused for. */
export type ChangeSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "sale-overlaps"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Change a sale
 *
 * Changes what is sent and leaves the rest as it is; `purchase_limit` null removes the limit. A draft can be changed in everything. Once it is scheduled, its products and allotments stay; while it is open its opening stays as well, and its limit may only rise; a closed one stays as it is. What is already held keeps its price and its time. Every change is recorded: see `changes`.
 *
 * Needs an API key with the scope `sale`.
 */
export function changeSale(client: Client, id: string, body: SalePatch, options?: CallOptions): Call<Sale, ChangeSaleCode> {
  return call(client, "PATCH", `/api/v1/sales/${part(id)}`, { body, keyed: true }, options);
}

export interface SaleChangesQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
}

/** What {@link saleChanges} may be refused for. */
export type SaleChangesCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Read what was done to a sale
 *
 * What was done to the sale, the oldest first: when, by which key, and what it changed.
 *
 * Needs an API key with the scope `sale`.
 */
export function saleChanges(client: Client, id: string, query: SaleChangesQuery = {}, options?: CallOptions): Call<SaleChangePage, SaleChangesCode> {
  return call(client, "GET", `/api/v1/sales/${part(id)}/changes`, { query }, options);
}

/** What {@link closeSale} may be refused for. */
export type CloseSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Close a sale
 *
 * Closes a sale now: `closes_at` becomes now. What is left of its allotments goes back to where it came from, and queued requests are refused (`sale-ended`). Live holds may still be ordered.
 *
 * Needs an API key with the scope `sale`.
 */
export function closeSale(client: Client, id: string, options?: CallOptions): Call<Sale, CloseSaleCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/close`, { keyed: true }, options);
}

export interface SaleFiguresQuery {
  /** Only the samples that end later. RFC 3339. */
  since?: string;
}

/** What {@link saleFigures} may be refused for. */
export type SaleFiguresCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * See how a sale goes
 *
 * Where the sale's units are, and its course since it was scheduled, true over all servers, cheap enough to be asked for each second. `items` and `queued` are as they were counted last: each second, or with a very large stock as often as takes a tenth of the time. Samples follow each other without a gap: each covers the `seconds` before `at`, its counts add up what was answered in them, its places are those at its end. A sample is shown when it is complete, half a second after its end; so whoever asks with `since` the last `at` misses nothing. There are at most 600 samples: a longer course is merged to longer ones. What a server has counted in the last second is lost when it crashes, and then missing here; units and orders never are.
 *
 * Needs an API key with the scope `sale`.
 */
export function saleFigures(client: Client, id: string, query: SaleFiguresQuery = {}, options?: CallOptions): Call<SaleFigures, SaleFiguresCode> {
  return call(client, "GET", `/api/v1/sales/${part(id)}/figures`, { query }, options);
}

/** What {@link openSale} may be refused for. */
export type OpenSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "sale-overlaps"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Open a sale before its time
 *
 * Opens a scheduled sale now, before its time: `opens_at` becomes now.
 *
 * Needs an API key with the scope `sale`.
 */
export function openSale(client: Client, id: string, options?: CallOptions): Call<Sale, OpenSaleCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/open`, { keyed: true }, options);
}

/** What {@link pauseSale} may be refused for. */
export type PauseSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Pause a sale
 *
 * Nothing more of it is claimed, on any server, within a second. Requests that are queued keep their place; carts, orders and payments go on.
 *
 * Needs an API key with the scope `sale`.
 */
export function pauseSale(client: Client, id: string, options?: CallOptions): Call<Sale, PauseSaleCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/pause`, { keyed: true }, options);
}

/** What {@link startRehearsal} may be refused for. */
export type StartRehearsalCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Rehearse a planned sale
 *
 * Plays the planned sale, as if it opened now, on marked copies of its products, with as many units as the sale has of each: prices, allotments, limits, hold and cool-down are the sale's. `buyers` of one unit each are spread over its items and released at once. Buyers of the shop see none of it, and the copies are removed in the end; but it is real load on this server and its database. It goes on when this is answered: ask at `Location`. There is one rehearsal at a time in the whole store; while another is running this is refused (`conflict`). A draft can be rehearsed.
 *
 * Needs an API key with the scope `sale`.
 */
export function startRehearsal(client: Client, id: string, body: RehearsalBody, options?: CallOptions): Call<Rehearsal, StartRehearsalCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/rehearsals`, { body, keyed: true }, options);
}

export interface SaleReportQuery {
  /** json or html; without it, what Accept asks for. */
  format?: "json" | "html";
}

/** What {@link saleReport} may be refused for. */
export type SaleReportCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Report on a sale
 *
 * What has become of a sale, or of it so far: units sold and money, by product and in all; what became of the holds; who was refused and why; how long answers took; its course. As JSON, or with `format=html` or an `Accept` that asks for `text/html` as one page that needs nothing else, to be read, printed and mailed. What it says of units, holds, orders and money is counted in the rows, in one snapshot, and exact. What it says of refusals and latencies is counted by the servers and written down each second: a crash may lose the last second of it. A draft has nothing to report on (`conflict`).
 *
 * Needs an API key with the scope `sale`.
 */
export function saleReport(client: Client, id: string, query: SaleReportQuery = {}, options?: CallOptions): Call<Response, SaleReportCode> {
  return call(client, "GET", `/api/v1/sales/${part(id)}/report`, { query, raw: true }, options);
}

/** What {@link resumeSale} may be refused for. */
export type ResumeSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Resume a sale
 *
 * Goes on with a sale that is paused.
 *
 * Needs an API key with the scope `sale`.
 */
export function resumeSale(client: Client, id: string, options?: CallOptions): Call<Sale, ResumeSaleCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/resume`, { keyed: true }, options);
}

/** What {@link scheduleSale} may be refused for. */
export type ScheduleSaleCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-enough-units"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "sale-overlaps"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Schedule a sale
 *
 * Sets the allotments aside, in the sale's own pool. From now on it opens and closes by itself, by the store's clock, and products without an allotment sell only through it.
 *
 * Needs an API key with the scope `sale`.
 */
export function scheduleSale(client: Client, id: string, options?: CallOptions): Call<Sale, ScheduleSaleCode> {
  return call(client, "POST", `/api/v1/sales/${part(id)}/schedule`, { keyed: true }, options);
}

/** What {@link getSelling} may be refused for. */
export type GetSellingCode =
  | "busy"
  | "internal"
  | "too-many-requests"
  | "validation";

/**
 * Is anything sold?
 *
 * Whether all selling is paused, and since when.
 */
export function getSelling(client: Client, options?: CallOptions): Call<Selling, GetSellingCode> {
  return call(client, "GET", "/api/v1/selling", { open: true }, options);
}

/** What {@link pauseSelling} may be refused for. */
export type PauseSellingCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Pause all selling
 *
 * Nothing more is claimed of any product, on any server, within a second. Requests that are queued keep their place; carts, orders and payments go on.
 *
 * Needs an API key with the scope `sale`.
 */
export function pauseSelling(client: Client, options?: CallOptions): Call<Selling, PauseSellingCode> {
  return call(client, "POST", "/api/v1/selling/pause", { keyed: true }, options);
}

/** What {@link resumeSelling} may be refused for. */
export type ResumeSellingCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Resume all selling
 *
 * Goes on with what was paused by `pause`.
 *
 * Needs an API key with the scope `sale`.
 */
export function resumeSelling(client: Client, options?: CallOptions): Call<Selling, ResumeSellingCode> {
  return call(client, "POST", "/api/v1/selling/resume", { keyed: true }, options);
}

/** What {@link startSession} may be refused for. */
export type StartSessionCode =
  | "busy"
  | "internal"
  | "not-found"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unsupported-media-type"
  | "validation";

/**
 * Come in as a guest
 *
 * A token for a visitor without an account, who is a buyer of their own with it: for 24 hours, on every server. Keep it, because whatever is in the cart is found with it alone. Only where the shop takes guests (`guests`), and so many times a minute from one address (`guest-rate`). Nothing is stored, so no Idempotency-Key is taken: to ask again is safe, and makes another visitor. A purchase limit is for each buyer, so also for each visitor.
 */
export function startSession(client: Client, options?: CallOptions): Call<Session, StartSessionCode> {
  return call(client, "POST", "/api/v1/session", { open: true }, options);
}

export interface GetTransactionQuery {
  /** Seconds to wait while it is queued. */
  wait?: number;
}

/** What {@link getTransaction} may be refused for. */
export type GetTransactionCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look at a transaction
 *
 * As it now is. `wait` waits for so many seconds while the transaction is queued. A hold that has lapsed shows as expired.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function getTransaction(client: Client, id: string, query: GetTransactionQuery = {}, options?: CallOptions): Call<Transaction, GetTransactionCode> {
  return call(client, "GET", `/api/v1/transaction/${part(id)}`, { query }, options);
}

/** What {@link extend} may be refused for. */
export type ExtendCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "hold-expired"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Let a hold last longer
 *
 * By so many seconds, from its `expires_at` on. In all a hold lasts at most as long as the store is set up for (1 hour), from when it was made.
 *
 * Needs an API key with the scope `claim` and the header `Buyer-Id`. A buyer's own token is not enough.
 */
export function extend(client: Client, id: string, body: ExtendBody, options?: CallOptions): Call<Transaction, ExtendCode> {
  return call(client, "POST", `/api/v1/transaction/${part(id)}/extend`, { body, keyed: true }, options);
}

/** What {@link getUnit} may be refused for. */
export type GetUnitCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Read a unit's life
 *
 * Where the unit is, and everything that happened to it.
 *
 * Needs an API key with the scope `stock`.
 */
export function getUnit(client: Client, id: string, options?: CallOptions): Call<Unit, GetUnitCode> {
  return call(client, "GET", `/api/v1/units/${part(id)}`, {}, options);
}

export interface ListWebhooksQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
}

/** What {@link listWebhooks} may be refused for. */
export type ListWebhooksCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * List the webhooks
 *
 * The oldest first, without their secrets.
 *
 * Needs an API key with the scope `webhook`.
 */
export function listWebhooks(client: Client, query: ListWebhooksQuery = {}, options?: CallOptions): Call<WebhookPage, ListWebhooksCode> {
  return call(client, "GET", "/api/v1/webhooks", { query }, options);
}

/** What {@link createWebhook} may be refused for. */
export type CreateWebhookCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Subscribe to events
 *
 * Events that happen from now on are sent to `url`, signed as Standard Webhooks says (https://www.standardwebhooks.com) with `secret`, which is shown this once. The receiver answers 2xx within 10 s when it has taken one; 410 disables the webhook; whatever else it answers, it is sent the event again, after longer and longer pauses, for three days. An event may come more than once, and not in order: `webhook-id` is the event's id, and the same each time. There can be 100 webhooks. See docs/webhooks.md.
 *
 * Needs an API key with the scope `webhook`.
 */
export function createWebhook(client: Client, body: WebhookBody, options?: CallOptions): Call<WebhookWithSecret, CreateWebhookCode> {
  return call(client, "POST", "/api/v1/webhooks", { body, keyed: true }, options);
}

/** What {@link deleteWebhook} may be refused for. */
export type DeleteWebhookCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Delete a webhook
 *
 * With its secrets and its log. What is being sent at this moment may still arrive.
 *
 * Needs an API key with the scope `webhook`.
 */
export function deleteWebhook(client: Client, id: string, options?: CallOptions): Call<void, DeleteWebhookCode> {
  return call(client, "DELETE", `/api/v1/webhooks/${part(id)}`, {}, options);
}

/** What {@link getWebhook} may be refused for. */
export type GetWebhookCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Look at a webhook
 *
 * Without its secrets.
 *
 * Needs an API key with the scope `webhook`.
 */
export function getWebhook(client: Client, id: string, options?: CallOptions): Call<Webhook, GetWebhookCode> {
  return call(client, "GET", `/api/v1/webhooks/${part(id)}`, {}, options);
}

/** What {@link changeWebhook} may be refused for. */
export type ChangeWebhookCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Change a webhook
 *
 * Changes what is sent and leaves the rest as it is. One that is disabled is sent nothing and misses what happens meanwhile, which can be replayed; what was pending goes on when it is enabled again.
 *
 * Needs an API key with the scope `webhook`.
 */
export function changeWebhook(client: Client, id: string, body: WebhookPatch, options?: CallOptions): Call<Webhook, ChangeWebhookCode> {
  return call(client, "PATCH", `/api/v1/webhooks/${part(id)}`, { body, keyed: true }, options);
}

export interface ListDeliveriesQuery {
  /** How many at most. Default: 50. */
  limit?: number;
  /** next_cursor of the page before. */
  cursor?: string;
  /** Only those of this event. */
  event_id?: string;
  /** Only these. */
  status?: "pending" | "delivered" | "given_up";
}

/** What {@link listDeliveries} may be refused for. */
export type ListDeliveriesCode =
  | "busy"
  | "forbidden"
  | "internal"
  | "not-found"
  | "too-many-requests"
  | "unauthenticated"
  | "validation";

/**
 * Read the log of a webhook
 *
 * What was sent to the webhook or is to be, the newest first, with what came of each attempt. What is at its end is kept for 30 days. `given_up`: it was not taken for three days; it can be replayed.
 *
 * Needs an API key with the scope `webhook`.
 */
export function listDeliveries(client: Client, id: string, query: ListDeliveriesQuery = {}, options?: CallOptions): Call<DeliveryPage, ListDeliveriesCode> {
  return call(client, "GET", `/api/v1/webhooks/${part(id)}/deliveries`, { query }, options);
}

/** What {@link replayEvent} may be refused for. */
export type ReplayEventCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Send an event once more
 *
 * Sends an event to this webhook, whether it was sent before or not, with the same `webhook-id`. What came of it is in the log.
 *
 * Needs an API key with the scope `webhook`.
 */
export function replayEvent(client: Client, id: string, body: ReplayBody, options?: CallOptions): Call<Delivery, ReplayEventCode> {
  return call(client, "POST", `/api/v1/webhooks/${part(id)}/replay`, { body, keyed: true }, options);
}

/** What {@link rotateWebhookSecret} may be refused for. */
export type RotateWebhookSecretCode =
  | "busy"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Give a webhook a new secret
 *
 * Answers with the new secret, which is shown this once. For 24 hours everything is signed with the new one and the old one, so that the receiver can be changed at any time within them.
 *
 * Needs an API key with the scope `webhook`.
 */
export function rotateWebhookSecret(client: Client, id: string, options?: CallOptions): Call<WebhookSecret, RotateWebhookSecretCode> {
  return call(client, "POST", `/api/v1/webhooks/${part(id)}/rotate-secret`, { keyed: true }, options);
}

/** What {@link testWebhook} may be refused for. */
export type TestWebhookCode =
  | "busy"
  | "conflict"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-found"
  | "outcome-unknown"
  | "payload-too-large"
  | "request-timeout"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Send a test event
 *
 * Sends an event of the type `webhook.test`, which tells of nothing and is in no list of events, to this webhook alone. What came of it is in its log.
 *
 * Needs an API key with the scope `webhook`.
 */
export function testWebhook(client: Client, id: string, options?: CallOptions): Call<Delivery, TestWebhookCode> {
  return call(client, "POST", `/api/v1/webhooks/${part(id)}/test`, { keyed: true }, options);
}

/** What {@link live} may be refused for. */
export type LiveCode =
  | "busy"
  | "internal"
  | "validation";

/**
 * Is the process alive?
 *
 * Asks nobody else.
 */
export function live(client: Client, options?: CallOptions): Call<Health, LiveCode> {
  return call(client, "GET", "/livez", { open: true }, options);
}

/** What {@link claim} may be refused for. */
export type ClaimCode =
  | "all-held"
  | "busy"
  | "cool-down"
  | "forbidden"
  | "idempotency-key-reused"
  | "internal"
  | "not-enough-units"
  | "not-found"
  | "not-selling"
  | "outcome-unknown"
  | "payload-too-large"
  | "purchase-limit"
  | "request-timeout"
  | "sale-ended"
  | "sale-not-open"
  | "sale-paused"
  | "sold-out"
  | "too-many-requests"
  | "unauthenticated"
  | "unsupported-media-type"
  | "validation";

/**
 * Add to the cart, decided now
 *
 * Holds units for the buyer, all that were asked for or none, and answers when that is on disk. It goes behind the requests for the product that were accepted before it, and is decided within 5 seconds; a store that can't is `busy`, and then nothing happened.
 *
 * A replay (the same `Idempotency-Key`) shows the transaction as it now is. A refusal is not stored, and its key stays free.
 *
 * With `sale_id` the units come through that sale and no other. Without it they come through the sale that is open for the product, if there is one and it has units, else normally, at the product's price; a product that a scheduled sale keeps for itself is `sale-not-open` until then. The sale decides the price, the length of the hold, how many one claim and one buyer may have, and the pause after an expired hold.
 *
 * It shares its keys with `POST /api/v1/order/addToCart`. A replay of what was sent there waits up to 5 seconds for the turn: 201 when the units are held, 202 when they are not yet, the problem if it was refused.
 *
 * Needs a buyer's token, or an API key with the scope `claim` and the header `Buyer-Id`.
 */
export function claim(client: Client, body: ClaimBody, options?: CallOptions): Call<Transaction, ClaimCode> {
  return call(client, "POST", "/order/addToCart", { body, keyed: true }, options);
}

/** What {@link ready} may be refused for. */
export type ReadyCode =
  | "busy"
  | "internal"
  | "validation";

/**
 * Can it serve?
 *
 * Yes, if the database can be written to and would not lose an answer (fsync, full_page_writes and synchronous_commit are on), and the server is not about to stop (`drain`); else `busy`, and why.
 */
export function ready(client: Client, options?: CallOptions): Call<Health, ReadyCode> {
  return call(client, "GET", "/readyz", { open: true }, options);
}
