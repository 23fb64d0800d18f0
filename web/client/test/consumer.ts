// What package.test.js compiles as others' code, in a project that is as strict as can be.
import {
  cancel, claim, claimQueued, ConnectionError, createClient, each, exportOrders, getCart, getTransaction, isProblem, listEvents, listOrders, newKey, outcome, putProduct,
  release, remaining, saleChanges, serverNow, watchProduct, watchTransaction,
} from "lastunit";
import type { CallOptions, ClaimBody, ClaimCode, Client, Order, Problem, ProblemCode, ProblemError, Product, Transaction } from "lastunit";

const shop: Client = createClient({ baseUrl: "https://tickets.example", token: () => "token", onRetry: (error, inMs) => console.log(error.attempts, inMs) });
const options: CallOptions = { key: newKey(), signal: new AbortController().signal };

/** Says each problem of a claim: the compiler finds what is missing, because never is left only when all have been said. */
export function say(problem: Problem<ClaimCode>): string {
  switch (problem.code) {
    case "all-held":
      return problem.next_release_at ?? problem.title;
    case "not-enough-units":
      return String(problem.available + 1);
    case "purchase-limit":
      return [problem.limit, problem.remaining, ...problem.order_ids].join();
    case "sale-not-open":
      return problem.opens_at;
    case "validation":
      return problem.errors.map((e) => `${e.location} ${e.message}`).join();
    case "sold-out":
    case "not-selling":
    case "sale-paused":
    case "sale-ended":
    case "cool-down":
    case "not-found":
    case "idempotency-key-reused":
    case "unauthenticated":
    case "forbidden":
    case "busy":
    case "too-many-requests":
    case "outcome-unknown":
    case "request-timeout":
    case "payload-too-large":
    case "unsupported-media-type":
    case "internal":
      return `${problem.status} ${problem.detail}`;
    default: {
      const never: never = problem;
      return never;
    }
  }
}

export async function buy(body: ClaimBody): Promise<Order | string> {
  const answer = await outcome(claim(shop, body, options));
  if (!answer.ok) {
    const problem: ProblemError<ClaimCode> = answer.problem;
    return say(problem) + (problem.retryAfter ?? 0) + (problem.requestId ?? "") + (problem.key ?? "");
  }
  const transaction: Transaction = answer.value;
  const first: string | undefined = transaction.unit_ids[0];
  const price: number | undefined = transaction.price?.amount;
  return `${first} ${price}`;
}

export async function all(): Promise<void> {
  const queued = await claimQueued(shop, { sku: "mug", metadata: { gift: true } }, { wait: 10 });
  const last = await outcome(watchTransaction(shop, queued.id, { onChange: (t) => console.log(t.queue_position?.toFixed()) }));
  if (!last.ok && last.problem.code === "not-found") {
    return;
  }
  await getTransaction(shop, queued.id, { wait: 20 }, { timeoutMs: 30_000 });
  const nothing: void = await release(shop, queued.id);
  console.log(nothing, remaining(shop, (await getCart(shop)).next_expiry), serverNow(shop));
  const stop: () => void = watchProduct(shop, "mug", (product: Product) => console.log(product.availability.status), { onError: console.error });
  stop();
  for await (const order of each(listOrders, shop, { state: "paid", limit: 100 })) {
    console.log((await cancel(shop, order.id)).status);
  }
  for await (const event of each(listEvents, shop, {})) {
    console.log(event.type, event.data["sku"]);
  }
  for await (const change of each((c, query: { cursor?: string }, o) => saleChanges(c, "id", query, o), shop, {})) {
    console.log(change.action);
  }
  const file: Response = await exportOrders(shop, { format: "jsonl" });
  await putProduct(shop, "mug", { price: null, image_url: null, attributes: { colour: "blue" } });
  const codes: ProblemCode[] = ["busy", "sold-out"];
  await file.text().catch((error: unknown) => {
    if (isProblem(error, ...codes)) {
      console.log(error.code);
    } else if (error instanceof ConnectionError) {
      console.log(error.status, error.cause);
    }
  });
}
