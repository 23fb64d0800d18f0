import { sleep } from "./call.js";
import type { Client } from "./call.js";
import { listProducts } from "./generated/operations.js";
import type { Product } from "./generated/types.js";
import { follow } from "./stream.js";

export interface WatchProductOptions {
  /** Ends watching, as the function that was returned does. */
  signal?: AbortSignal;
  /** Is told whether news of the product comes as it happens (true), or late, if at all: the connection is being made, or products are asked for now and then. */
  onLive?: (live: boolean) => void;
  /** Is told why there will be no more news, such as a SKU that can't be one: a problem, a ConnectionError, or what getting the token threw. */
  onError?: (error: unknown) => void;
}

interface Watcher extends WatchProductOptions {
  sku: string;
  listener: (product: Product) => void;
  /** The text of what it was told last. */
  told?: string;
}

// What the service takes at once.
const skusAtMost = 100;
// Who begins to watch within this time shares a connection from the beginning.
const gatherMs = 20;

/**
 * Watches a product: the listener is told what the product is at once, and each time that something about it has changed. Returns the
 * function that ends it. All products that a client watches share one connection (one for each 100), which lasts as long as one is
 * watched; where streams do not get through they share one question every `pollMs`, which hidden pages do not ask.
 */
export function watchProduct(client: Client, sku: string, listener: (product: Product) => void, options: WatchProductOptions = {}): () => void {
  const watcher: Watcher = { ...options, sku, listener };
  if (options.signal?.aborted) {
    return () => {};
  }
  let feed = feeds.get(client);
  if (!feed) {
    feeds.set(client, (feed = new Feed(client)));
  }
  feed.add(watcher);
  const stop = () => {
    options.signal?.removeEventListener("abort", stop);
    feed.remove(watcher);
  };
  options.signal?.addEventListener("abort", stop);
  return stop;
}

/** What one client's watchers share. */
class Feed {
  private watchers = new Set<Watcher>();
  private covered = new Set<string>(); // by the connection that there is, or is being made
  private known = new Map<string, { text: string; product: Product }>();
  private live = false;
  private connection = new AbortController();
  private gathering: ReturnType<typeof setTimeout> | undefined;

  constructor(private client: Client) {}

  add(watcher: Watcher): void {
    this.watchers.add(watcher);
    if (!this.covered.has(watcher.sku)) {
      this.gathering ??= setTimeout(() => this.connect(), gatherMs);
      return;
    }
    // Not before watchProduct has returned.
    queueMicrotask(() => {
      this.each([watcher.sku], (w) => w === watcher && w.onLive?.(this.live));
      this.tell(watcher.sku);
    });
  }

  remove(watcher: Watcher): void {
    this.watchers.delete(watcher);
    if (this.watchers.size === 0) {
      this.disconnect();
    }
  }

  private disconnect(): void {
    clearTimeout(this.gathering);
    this.gathering = undefined;
    this.connection.abort();
    this.covered.clear();
    this.known.clear();
  }

  // A stream can't be told of another product: there is a new one with all that are watched, and it begins with all that is known.
  private connect(): void {
    this.connection.abort();
    this.gathering = undefined;
    this.connection = new AbortController();
    this.covered = new Set([...this.watchers].map((w) => w.sku));
    const skus = [...this.covered].sort();
    for (let i = 0; i < skus.length; i += skusAtMost) {
      const some = skus.slice(i, i + skusAtMost);
      const { signal } = this.connection;
      this.follow(some, signal).catch((error: unknown) => signal.aborted || this.fail(some, error));
    }
  }

  private follow(sku: string[], signal: AbortSignal): Promise<void> {
    let again = false;
    return follow(this.client, {
      path: "/api/v1/products/events",
      request: { query: { sku }, open: true },
      take: (event) => {
        if (event.name === "product") {
          this.learn(JSON.parse(event.data) as Product);
        }
        return false;
      },
      otherwise: async () => {
        if (again) {
          await sleep((this.client.options.pollMs ?? 2000) * (0.75 + Math.random() / 2), signal);
          await shown(signal);
        }
        again = true;
        (await listProducts(this.client, { sku, limit: skusAtMost }, { signal })).items.forEach((product) => this.learn(product));
        return false;
      },
      live: (live) => {
        this.live = live;
        this.each(sku, (w) => w.onLive?.(live));
      },
    }, signal);
  }

  private learn(product: Product): void {
    this.known.set(product.sku, { text: JSON.stringify(product), product });
    this.tell(product.sku);
  }

  // Tells what is known of a product to those who were not told yet.
  private tell(sku: string): void {
    const known = this.known.get(sku);
    this.each([sku], (w) => {
      if (known && w.told !== known.text) {
        w.told = known.text;
        w.listener(known.product);
      }
    });
  }

  private fail(skus: string[], error: unknown): void {
    this.each(skus, (w) => {
      this.remove(w);
      w.onError?.(error);
    });
  }

  // What a listener throws is no other's business: it is thrown where nobody catches it.
  private each(skus: string[], say: (watcher: Watcher) => void): void {
    for (const watcher of [...this.watchers].filter((w) => skus.includes(w.sku))) {
      try {
        say(watcher);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

const feeds = /* @__PURE__ */ new WeakMap<Client, Feed>();

// Waits until the page can be seen.
async function shown(signal: AbortSignal): Promise<void> {
  const page = globalThis.document;
  while (page?.hidden) {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const end = () => reject(signal.reason);
      signal.addEventListener("abort", end, { once: true });
      page.addEventListener("visibilitychange", () => {
        signal.removeEventListener("abort", end);
        resolve();
      }, { once: true });
    });
  }
}
