// Generated from openapi.yaml by `make client`. Do not edit.

export interface Audit {
  checks: Check[];
  /** RFC 3339. */
  finished_at: string;
  id: string;
  ok: boolean;
  /** The product that was audited; null for all. */
  sku: string | null;
  /** RFC 3339. */
  started_at: string;
}

export interface AuditBody {
  /** Only this product. */
  sku?: string;
}

export interface Availability {
  /** Exact up to the configured number (show-stock); above, that number. */
  available: number;
  /** There are more than available says. */
  capped: boolean;
  /** With all_held: when the first hold ends. RFC 3339. */
  next_release_at: string | null;
  status: "available" | "all_held" | "sold_out" | "not_open" | "paused" | "ended" | "not_selling";
}

export interface Cart {
  /** The holds, the oldest first. */
  items: Transaction[];
  /** When the first hold lapses. RFC 3339. */
  next_expiry: string | null;
  /** Requests that are not yet decided. */
  queued: Transaction[];
  /** What the holds cost, a sum for each currency. */
  totals: Money[];
}

export interface Check {
  name: string;
  ok: boolean;
  /** The rows that break it, at most 100. */
  violations: Violation[];
}

export interface CheckoutBody {
  /** An object that means nothing to lastunit and is given back as it is: at most 4 KiB. */
  metadata?: { [name: string]: unknown };
  /** The caller's own name for it. */
  reference?: string | null;
  /** The holds to order; none: the whole cart. */
  transaction_ids?: string[];
}

export interface ClaimBody {
  /** An object that means nothing to lastunit and is given back as it is: at most 4 KiB. */
  metadata?: { [name: string]: unknown };
  /** How many units, at most max_quantity of the sale, or outside of one the configured number (10). Default: 1. */
  quantity?: number;
  /** The caller's own name for it. */
  reference?: string | null;
  /** Through this sale and no other. */
  sale_id?: string | null;
  /** What to add. */
  sku: string;
}

export interface ConfirmBody {
  /** An object that means nothing to lastunit and is given back as it is: at most 4 KiB. */
  metadata?: { [name: string]: unknown };
  /** The shop's own name of the order, which confirms once. */
  reference: string;
  /** The holds, of one buyer. */
  transaction_ids: string[];
}

export interface Delivery {
  /** Whether it is a replay or a test. */
  asked_for: boolean;
  attempts: DeliveryAttempt[];
  /** RFC 3339. */
  created_at: string;
  /** The receiver sees it as webhook-id. */
  event_id: string;
  event_type: string;
  id: string;
  /** While it is pending. RFC 3339. */
  next_attempt_at: string | null;
  status: "pending" | "delivered" | "given_up";
}

export interface DeliveryAttempt {
  /** RFC 3339. */
  at: string;
  /** Why there was no answer. */
  error: string | null;
  /** How the answer begins: 1 KiB. */
  response_body: string;
  /** null: there was no answer. */
  response_status: number | null;
  took_ms: number;
}

export interface DeliveryPage {
  items: Delivery[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface Event {
  /** RFC 3339. */
  created_at: string;
  /** Names what it happened to: order_id, sale_id or sku, and more that depends on the type. */
  data: { [name: string]: unknown };
  id: string;
  type: "order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired";
}

export interface EventPage {
  items: Event[];
  /** Where to go on, now or later. */
  next_cursor: string;
}

export interface ExtendBody {
  /** How much longer. */
  seconds: number;
}

export interface FieldChange {
  field: "name" | "description" | "price" | "image_url" | "selling" | "attributes";
  /** As a sheet says it; null: none. */
  from: string | null;
  /** As a sheet says it; null: none. */
  to: string | null;
}

export interface Health {
  status: "ok";
}

export interface Heard {
  /** Why there was nothing to ask Stripe about; null also for events that are of no interest here. */
  ignored: string | null;
}

export interface Import {
  /** Products. */
  changed: number;
  /** Products. */
  created: number;
  dry_run: boolean;
  /** How many products something happens to. */
  item_count: number;
  /** What happens to which product: the first 1000. */
  items: ImportItem[];
  /** Whose columns the sheet has. */
  kind: "own" | "shopify_products" | "shopify_inventory";
  /** Lines of stock, of which all units have come in before. */
  known: number;
  /** Of the sheet, below its header. */
  lines: number;
  /** Products that are as the sheet says. */
  unchanged: number;
  /** That came in. */
  units: number;
}

export interface ImportItem {
  changes: FieldChange[];
  created: boolean;
  /** Of the file, from 1 on. */
  line: number;
  sku: string;
  /** That came in. */
  units: number;
}

export interface Money {
  /** In minor units of the currency, such as cents. */
  amount: number;
  /** ISO 4217. */
  currency: string;
}

export interface Order {
  /** What the shop's people should look at, of its payment. */
  attention: ("amount-differs" | "dispute-lost" | "payment-disputed" | "refund-failed" | "refunded-elsewhere")[];
  buyer: string;
  /** RFC 3339. */
  created_at: string;
  id: string;
  lines: OrderLine[];
  /** That was sent with it; it means nothing to lastunit. */
  metadata: { [name: string]: unknown } | null;
  /** Until when it is to be paid; null when it was paid from the beginning. RFC 3339. */
  pay_by: string | null;
  payment: Payment;
  /** Why it is cancelled: payment-overdue, cancelled-by-buyer or repaired (a repair took from it what was another's, and there was no equal unit). */
  reason: string | null;
  reference: string | null;
  /** What of the total was given back; null when there is no total. */
  refunded: Money | null;
  /** The order that has equal units for the money that came too late for this one. */
  replaced_by_order_id: string | null;
  /** A cancelled order whose money came too late; this one has equal units for it. */
  replaces_order_id: string | null;
  /** awaiting_payment → paid or cancelled; paid → refunded. Partly refunded stays paid. */
  status: "awaiting_payment" | "paid" | "cancelled" | "refunded";
  /** What it costs; null when only the shop beside knows. */
  total: Money | null;
}

export interface OrderLine {
  /** Of one unit; null when only the shop beside knows. */
  price: Money | null;
  quantity: number;
  /** The hold that had lapsed, or the line of a cancelled order, for which this one has equal units. */
  replaces_transaction_id: string | null;
  /** Those of them that have left it again. */
  returned_unit_ids: string[];
  /** The sale that the units came through. */
  sale_id: string | null;
  sku: string;
  transaction_id: string;
  /** The units that it has or had. */
  unit_ids: string[];
}

export interface OrderPage {
  items: Order[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface PayBody {
  /** With the provider test: what it calls a card. It is kept nowhere. */
  card?: string;
  /** With the provider stripe: a PaymentMethod of Stripe's, which is confirmed at once; left out when the buyer's browser confirms. It is kept nowhere. */
  payment_method?: string;
}

export interface Payment {
  /** With the provider stripe, in the answer to pay, while the payment is pending: what Stripe.js confirms it with. It is for the buyer alone: log it and keep it nowhere. */
  client_secret: string | null;
  /** Who takes the money; external: the shop beside. */
  provider: string;
  status: "none" | "pending" | "succeeded" | "failed" | "refunded";
}

export interface Product {
  /** It means nothing to lastunit. */
  attributes: { [name: string]: unknown };
  availability: Availability;
  description: string | null;
  image_url: string | null;
  name: string | null;
  /** Null when a shop beside this one knows the price. */
  price: Money | null;
  /** Made by a rehearsal: absent from lists, and may be deleted. */
  rehearsal: boolean;
  /** The sale that is open for it, or else the next one; null when none is planned. */
  sale: ProductSale | null;
  selling: boolean;
  sku: string;
  /** RFC 3339. */
  updated_at: string;
}

export interface ProductPage {
  items: Product[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface ProductPut {
  /** An object that means nothing to lastunit and is given back as it is. */
  attributes?: { [name: string]: unknown };
  description?: string | null;
  /** Of a picture: https, or a path on this service. */
  image_url?: string | null;
  name?: string | null;
  price?: {
    /** In minor units of the currency, such as cents. */
    amount: number;
    /** ISO 4217. */
    currency: string;
  } | null;
  /** A product of a rehearsal: absent from lists, and may be deleted. Default: false. */
  rehearsal?: boolean;
  /** false takes it off sale. Default: true. */
  selling?: boolean;
}

export interface ProductSale {
  /** The sale has units for itself; others may sell beside it, at the product's price. */
  allotted: boolean;
  /** RFC 3339. */
  closes_at: string;
  id: string;
  /** How many units one claim may ask for. */
  max_quantity: number;
  name: string;
  /** RFC 3339. */
  opens_at: string;
  /** Of one unit in the sale. */
  price: Money;
  /** How many units one buyer may hold or own; null: any number. */
  purchase_limit: number | null;
  status: "scheduled" | "open" | "paused";
}

export interface QuarantineRelease {
  /** How many this request has released; 0 for a replay. */
  quantity: number;
  sku: string;
  unit_ids: string[];
}

export interface QuarantineReleaseBody {
  /** How many units. */
  quantity?: number;
  /** These units, instead of a quantity. */
  unit_ids?: string[];
}

export interface Receipt {
  /** RFC 3339. */
  created_at: string;
  id: string;
  quantity: number;
  reference: string;
  sku: string;
}

export interface ReceiptBody {
  /** How many units. */
  quantity?: number;
  /** What it was, such as the number of a delivery note. */
  reference: string;
  /** A serial for each unit, instead of a quantity. */
  serials?: string[];
}

export interface RefundBody {
  /** Where they go: to sale again, to be looked at first, or out for good. */
  restock: "available" | "quarantine" | "write_off";
  /** Units of the order; left out: all that it still has. */
  unit_ids?: string[];
}

export interface Rehearsal {
  buyers: number;
  /** Why it failed, and what to do. */
  detail: string | null;
  /** RFC 3339. */
  finished_at: string | null;
  id: string;
  progress: RehearsalProgress;
  /** Null unless it is finished. */
  report: RehearsalReport | null;
  sale_id: string;
  /** RFC 3339. */
  started_at: string;
  /** finished: it was played to its end, and report says what came of it; failed: it could not be, and detail says why. */
  status: "running" | "finished" | "failed";
}

export interface RehearsalBody {
  buyers: number;
}

export interface RehearsalItem {
  audit_ok: boolean;
  /** Each broken promise, a sentence. */
  broken: string[];
  buyers: number;
  /** Buyers without an answer, or with one that is neither. */
  faults: number;
  /** Buyers who got their units. */
  held: number;
  /** Null when nobody was answered. */
  latency_ms: RehearsalLatency | null;
  /** Buyers who were refused, by problem code. */
  refused: { [name: string]: unknown };
  sku: string;
  /** How long after the opening the last unit was held; null: some are left, or there were none. */
  sold_out_seconds: number | null;
  /** Units that the sale has of it. */
  stock: number;
  /** Units that the sale would sell. */
  units_held: number;
  units_left: number;
}

export interface RehearsalLatency {
  max: number;
  /** In milliseconds, from the opening to the answer, retries included. */
  p50: number;
  p95: number;
  p99: number;
}

export interface RehearsalProgress {
  /** Those of them that got their units. */
  held: number;
  refused: number;
  /** Requests of buyers. */
  sent: number;
}

export interface RehearsalReport {
  audit_ok: boolean;
  /** What went wrong besides the promises of each item, a sentence each. */
  broken: string[];
  /** As played: at least 60, because what lapses while the answers are checked would show nothing. */
  hold_seconds: number;
  items: RehearsalItem[];
  /** Over all items. */
  latency_ms: RehearsalLatency | null;
  /** Every promise was kept: each unit went to one buyer, every answer was true, the database says the same, the audit is clean. */
  ok: boolean;
  purchase_limit: number | null;
}

export interface ReplayBody {
  /** The event: from the log, or from GET /api/v1/events. */
  event_id: string;
}

export interface Sale {
  /** RFC 3339. */
  closes_at: string;
  /** How long a buyer can claim nothing of it after a hold has expired. */
  cooldown_seconds: number;
  /** RFC 3339. */
  created_at: string;
  /** How long a claim keeps its units. */
  hold_seconds: number;
  id: string;
  items: SaleItem[];
  /** How many units one claim may ask for. */
  max_quantity: number;
  name: string;
  /** RFC 3339. */
  opens_at: string;
  /** How many units one buyer may hold or own, over all carts and orders; null: any number. */
  purchase_limit: number | null;
  /** draft → scheduled → open ⇄ paused → closed; it opens and closes by the store's clock. */
  status: "draft" | "scheduled" | "open" | "paused" | "closed";
  /** RFC 3339. */
  updated_at: string;
}

export interface SaleAnswers {
  /** Null when nobody was answered. */
  latency_ms: SaleLatency | null;
  /** By problem code. */
  refusals: { [name: string]: unknown };
  refused: number;
  /** Claims that were answered, held or refused. */
  total: number;
}

export interface SaleBody {
  /** From this instant on it can't. RFC 3339. */
  closes_at: string;
  /** How long a buyer can claim nothing of it after a hold has expired. Default: 0. */
  cooldown_seconds?: number;
  /** How long a claim keeps its units. */
  hold_seconds: number;
  /** Each product once. */
  items: SaleItem[];
  /** How many units one claim may ask for. Default: 10. */
  max_quantity?: number;
  name: string;
  /** From this instant on it can be claimed from, by the store's clock. RFC 3339. */
  opens_at: string;
  /** How many units one buyer may hold or own, over all carts and orders; null: any number. */
  purchase_limit?: number | null;
}

export interface SaleBuyers {
  /** Who have as many as one may. */
  at_limit: number;
  /** Claims that were refused because of the purchase limit. */
  limit_hits: number;
  with_units: number;
}

export interface SaleChange {
  action: "created" | "changed" | "schedule" | "open" | "pause" | "resume" | "close";
  /** RFC 3339. */
  at: string;
  /** For each field that was changed, what it was (from) and what it became (to). */
  changes: { [name: string]: unknown };
  id: string;
  /** The API key that did it. */
  key_id: string;
  key_name: string;
}

export interface SaleChangePage {
  items: SaleChange[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface SaleFigures {
  items: SaleItemPlaces[];
  /** By the store's clock. RFC 3339. */
  now: string;
  /** Requests that wait for their turn. */
  queued: number;
  sale_id: string;
  /** The oldest first. */
  samples: SaleSample[];
  state: "draft" | "scheduled" | "open" | "paused" | "closed";
}

export interface SaleHolds {
  /** Ordered, and never paid for. */
  cancelled: number;
  lapsed: number;
  /** In carts. */
  live: number;
  /** All of them: live, lapsed, released, unpaid, cancelled and paid add up to it. */
  made: number;
  /** Checked out or confirmed: unpaid, cancelled or paid. */
  ordered: number;
  paid: number;
  /** Given back by the buyer. */
  released: number;
  /** Of those lapsed or cancelled, the ones for which equal units were found when the money came. */
  replaced: number;
  /** Ordered, and may still be paid for. */
  unpaid: number;
}

export interface SaleItem {
  /** Of one unit in the sale. */
  price: Money;
  /** The allotment: units that are set aside for the sale, while the rest sells on normally. Null: the product sells from the common stock, and only through the sale. */
  quantity?: number | null;
  sku: string;
}

export interface SaleItemPlaces {
  /** What can be sold through the sale: its allotment that is left, or without one the common stock; with what is in lapsed holds. 0 before it is scheduled and when it is closed. */
  available: number;
  /** In carts, through the sale. */
  held: number;
  /** Ordered through the sale and not yet paid for. */
  ordered: number;
  sku: string;
  /** Paid for, through the sale. */
  sold: number;
}

export interface SaleItemTally {
  /** The share of the holds that were paid for; null when there were none. */
  conversion: number | null;
  holds: SaleHolds;
  name: string;
  /** Units: the allotment, or without one as many as were seen in the common stock at once. */
  offered: number;
  /** What the units returned had cost, by currency, where the money was taken here. */
  refunded: Money[];
  /** By problem code. */
  refusals: { [name: string]: unknown };
  /** What the units sold cost, by currency. */
  revenue: Money[];
  /** The share of the units offered that were sold and did not come back; null when none were offered. */
  sell_through: number | null;
  sku: string;
  /** How long after the opening the last unit was paid for; null: not all were. */
  sold_out_seconds: number | null;
  /** How long after the opening there was first nothing left to claim, as sampled; null: there always was. */
  taken_after_seconds: number | null;
  units_returned: SaleReturns;
  /** Units that were paid for, also those that came back. */
  units_sold: number;
}

export interface SaleLatency {
  /** In milliseconds, right to a sixteenth: of direct claims from their arrival, of queued ones from when they were accepted. */
  p50: number;
  p95: number;
  p99: number;
}

export interface SalePage {
  items: Sale[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface SalePatch {
  /** RFC 3339. */
  closes_at?: string;
  cooldown_seconds?: number;
  hold_seconds?: number;
  items?: SaleItem[];
  max_quantity?: number;
  name?: string;
  /** RFC 3339. */
  opens_at?: string;
  /** How many units one buyer may hold or own, over all carts and orders; null removes the limit. */
  purchase_limit?: number | null;
}

export interface SaleQueue {
  /** Requests that waited at once, as sampled. */
  most_waiting: number;
  /** Requests that got their units. */
  served: number;
  waiting: number;
}

export interface SaleRefunds {
  /** What the sale's units in those orders cost. */
  late_amounts: Money[];
  /** Of payments that came too late, when there were no units any more. */
  late_payments: number;
  /** Of all, those that the payment provider has not confirmed yet. */
  pending: number;
  /** For units that came back. */
  returns: number;
}

export interface SaleReport {
  answers: SaleAnswers;
  /** What the figures rest on, in words. */
  basis: string[];
  buyers: SaleBuyers;
  /** RFC 3339. */
  closes_at: string;
  /** At most 240, the oldest first. The first ends at the opening or after it, or is the last before it. */
  course: SaleSample[];
  /** The opening. RFC 3339. */
  course_from: string;
  /** A little after the last claim or change. RFC 3339. */
  course_until: string;
  hold_seconds: number;
  /** By SKU. */
  items: SaleItemTally[];
  name: string;
  /** When it was made, by the store's clock. RFC 3339. */
  now: string;
  /** RFC 3339. */
  opens_at: string;
  purchase_limit: number | null;
  /** Null when nobody was queued. */
  queue: SaleQueue | null;
  refunds: SaleRefunds;
  sale_id: string;
  /** In steps of one length. */
  sell_through: SaleSoldPoint[];
  status: "scheduled" | "open" | "paused" | "closed";
  total: SaleTally;
}

export interface SaleReturns {
  quarantine: number;
  restocked: number;
  written_off: number;
}

export interface SaleSample {
  /** When it ends. RFC 3339. */
  at: string;
  /** What can be sold through the sale: its allotment that is left, or without one the common stock; with what is in lapsed holds. 0 before it is scheduled and when it is closed. */
  available: number;
  /** Claims that got their units, direct ones and queued ones. */
  claims: number;
  /** In carts, through the sale. */
  held: number;
  /** How long it took to answer claims, held or refused; null when there were none. */
  latency_ms: SaleLatency | null;
  /** Ordered through the sale and not yet paid for. */
  ordered: number;
  /** Requests that wait for their turn, at its end. */
  queued: number;
  /** Claims that were refused, by problem code. */
  refusals: { [name: string]: unknown };
  /** How long it is. */
  seconds: number;
  /** Paid for, through the sale. */
  sold: number;
  /** The units that they got. */
  units: number;
}

export interface SaleSoldPoint {
  /** RFC 3339. */
  at: string;
  /** Paid for until then, without those that had come back. */
  units: number;
}

export interface SaleTally {
  /** The share of the holds that were paid for; null when there were none. */
  conversion: number | null;
  holds: SaleHolds;
  /** Units: the allotment, or without one as many as were seen in the common stock at once. */
  offered: number;
  /** What the units returned had cost, by currency, where the money was taken here. */
  refunded: Money[];
  /** What the units sold cost, by currency. */
  revenue: Money[];
  /** The share of the units offered that were sold and did not come back; null when none were offered. */
  sell_through: number | null;
  /** How long after the opening the last unit was paid for; null: not all were. */
  sold_out_seconds: number | null;
  /** How long after the opening there was first nothing left to claim, as sampled; null: there always was. */
  taken_after_seconds: number | null;
  units_returned: SaleReturns;
  /** Units that were paid for, also those that came back. */
  units_sold: number;
}

export interface Selling {
  paused: boolean;
  /** RFC 3339. */
  paused_at: string | null;
}

export interface Session {
  buyer: string;
  /** Until when the token is good. RFC 3339. */
  expires_at: string;
  /** To be sent as Authorization: Bearer. */
  token: string;
}

export interface Stock {
  available: number;
  held: number;
  ordered: number;
  quarantine: number;
  received: number;
  sold: number;
  withdrawn: number;
}

export interface Transaction {
  /** RFC 3339. */
  created_at: string;
  /** Until when the units are held. RFC 3339. */
  expires_at: string | null;
  id: string;
  /** That was sent with it; it means nothing to lastunit. */
  metadata: { [name: string]: unknown } | null;
  /** The order that it is a line of. */
  order_id: string | null;
  /** Of one unit, as it was when the units were held. */
  price: Money | null;
  quantity: number;
  /** Units asked for ahead of it; 0 is next. Null once decided. */
  queue_position: number | null;
  /** The problem code of a refusal. */
  reason: string | null;
  /** That was sent with it. */
  reference: string | null;
  /** The sale that it was served through; null: it sold normally. */
  sale_id: string | null;
  sku: string;
  /** queued → held, refused or released; held → ordered, released or expired. */
  status: "queued" | "held" | "ordered" | "released" | "expired" | "refused";
  /** The units that it has or had. */
  unit_ids: string[];
}

export interface Unit {
  id: string;
  /** What happened to it, in order; of more than 1000 transactions, the latest. */
  life: UnitEvent[];
  place: "available" | "held" | "ordered" | "sold" | "quarantine" | "withdrawn";
  serial: string | null;
  sku: string;
}

export interface UnitEvent {
  /** RFC 3339. */
  at: string;
  buyer: string | null;
  event: "received" | "held" | "ordered" | "paid" | "released" | "expired" | "cancelled" | "returned" | "quarantined" | "written_off" | "unquarantined" | "withdrawn" | "repaired";
  /** The order that it was in. */
  order_id: string | null;
  receipt_id: string | null;
  /** Of the receipt, the reason of the withdrawal, or what a repair has done. */
  reference: string | null;
  transaction_id: string | null;
  withdrawal_id: string | null;
}

export interface Violation {
  detail: string;
  sku: string;
  transaction_id: string | null;
  unit_id: string | null;
}

export interface Webhook {
  /** RFC 3339. */
  created_at: string;
  description: string;
  /** Why lastunit disabled it by itself; null: it did not. */
  disabled_reason: string | null;
  enabled: boolean;
  /** Empty: all. */
  event_types: ("order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired")[];
  id: string;
  url: string;
}

export interface WebhookBody {
  description?: string;
  /** Default: true. */
  enabled?: boolean;
  /** Only these; without any, all. */
  event_types?: ("order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired")[] | null;
  /** Where to send: https, and a public address. */
  url: string;
}

export interface WebhookPage {
  items: Webhook[];
  /** Where the next page begins; null on the last. */
  next_cursor: string | null;
}

export interface WebhookPatch {
  description?: string;
  enabled?: boolean;
  /** Empty: all. */
  event_types?: ("order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired")[];
  url?: string;
}

export interface WebhookSecret {
  /** What is sent is signed with it from now on. Empty when the answer is repeated after it has ended. */
  secret: string;
}

export interface WebhookWithSecret {
  /** RFC 3339. */
  created_at: string;
  description: string;
  /** Why lastunit disabled it by itself; null: it did not. */
  disabled_reason: string | null;
  enabled: boolean;
  /** Empty: all. */
  event_types: ("order.created" | "order.paid" | "order.cancelled" | "order.refunded" | "payment.late" | "payment.attention" | "sale.created" | "sale.changed" | "sale.scheduled" | "sale.opened" | "sale.paused" | "sale.resumed" | "sale.closed" | "selling.paused" | "selling.resumed" | "product.out_of_stock" | "product.back_in_stock" | "unit.repaired" | "transaction.repaired" | "order.repaired" | "stock.repaired")[];
  id: string;
  /** What is sent is signed with it. Empty when the answer is repeated after it has ended. */
  secret: string;
  url: string;
}

export interface Withdrawal {
  /** RFC 3339. */
  created_at: string;
  id: string;
  /** Where they were: sold ones came back and were written off. */
  place: "available" | "quarantine" | "sold";
  quantity: number;
  reason: string;
  sku: string;
}

export interface WithdrawalBody {
  /** Where they are taken from. Default: available. */
  place?: "available" | "quarantine";
  /** How many units. */
  quantity: number;
  /** Why. */
  reason: string;
}
