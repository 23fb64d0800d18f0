import type { CallOptions, Client } from "./call.js";

/** An operation that lists, page by page. */
type List<T, Q> = (client: Client, query: Q, options?: CallOptions) => Promise<{ items: T[]; next_cursor: string | null }>;

/** All that an operation lists, page after page, such as `each(listOrders, client, { state: "paid" })`. */
export async function* each<T, Q extends { cursor?: string }>(list: List<T, Q>, client: Client, query: Q, options?: CallOptions): AsyncGenerator<T, void, undefined> {
  for (let page = await list(client, query, options); ; page = await list(client, { ...query, cursor: page.next_cursor }, options)) {
    yield* page.items;
    if (page.next_cursor === null || page.items.length === 0) {
      return; // the list of events always says where to go on
    }
  }
}
