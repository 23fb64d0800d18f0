import type { CallOptions, Client } from "./call.js";

/** An operation that lists, page by page. */
type List<T, Q> = (client: Client, query: Q, options?: CallOptions) => Promise<{ items: T[]; next_cursor: string | null }>;

/** All that an operation lists, page after page, such as `each(listOrders, client, { state: "paid" })`. */
export async function* each<T, Q extends { cursor?: string } | undefined>(list: List<T, Q>, client: Client, query: NonNullable<Q>, options?: CallOptions): AsyncGenerator<T, void, undefined> {
  for (let next: NonNullable<Q> = query; ; ) {
    const { items, next_cursor: cursor } = await list(client, next, options);
    yield* items;
    if (cursor === null || items.length === 0) {
      return; // the list of events always says where to go on
    }
    next = { ...query, cursor };
  }
}
