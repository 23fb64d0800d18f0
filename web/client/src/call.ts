import { Clock } from "./clock.js";
import { ConnectionError, isProblem, problemError } from "./problem.js";
import type { Call, Problem, ProblemCode, ProblemError } from "./problem.js";

/** A token; or what gets one, before each attempt: `rejected` is the one that the service has just called invalid, if it has. */
export type Token = string | ((rejected?: string) => string | undefined | Promise<string | undefined>);

export interface ClientOptions {
  /** Where the service is, such as `https://tickets.example`. Default: where the page came from. */
  baseUrl?: string;
  /** A buyer's token or an API key. Never put an API key into a page for buyers. */
  token?: Token;
  /** The buyer that an API key acts for. */
  buyer?: string;
  /** For how long a call goes on trying, in ms. Default: 30000. */
  timeoutMs?: number;
  /** For how long one attempt waits for its answer, in ms. Default: 10000. */
  attemptTimeoutMs?: number;
  /** After how many ms in which nothing came a stream of events is given up and opened anew. Default: 40000; the service says something every 15 s. */
  silenceMs?: number;
  /** How often products are asked for while they can't be streamed, in ms. Default: 2000. */
  pollMs?: number;
  /** Is told that a call is made again in so many ms, and why. */
  onRetry?: (error: ProblemError | ConnectionError, inMs: number) => void;
  /** Instead of the global fetch. */
  fetch?: typeof fetch;
}

export interface CallOptions {
  /** The Idempotency-Key. Default: one is made for each call. Give one to ask for the same thing again, also after the page was loaded anew: see {@link newKey}. */
  key?: string;
  /** Ends the call: it then throws the signal's reason. What has already been sent may still be done. */
  signal?: AbortSignal;
  /** false: one attempt and no more. */
  retry?: boolean;
  /** As in {@link ClientOptions}, for this call. */
  timeoutMs?: number;
  /** As in {@link ClientOptions}, for this call. */
  attemptTimeoutMs?: number;
  /** As in {@link ClientOptions}, for this call. */
  buyer?: string;
}

export interface WaitOptions extends CallOptions {
  /** How many seconds the service may wait before it answers that the turn has not come yet, at most 30. Default: 0. */
  wait?: number;
}

/** Whom the calls are made to. Made by {@link createClient}. */
export interface Client {
  readonly options: Readonly<ClientOptions>;
  /** @internal */
  readonly clock: Clock;
}

/** Makes a client. It holds no connection and needs no closing. */
export function createClient(options: ClientOptions = {}): Client {
  return { options, clock: new Clock() };
}

/** A new Idempotency-Key: 128 random bits. */
export function newKey(): string {
  // Not randomUUID, which browsers have only on https pages.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @internal */
export const part = encodeURIComponent;

/** @internal */
export interface CallRequest {
  query?: object;
  body?: object | string;
  /** What the body is, if it is not to be sent as JSON. */
  media?: string;
  /** The operation takes an Idempotency-Key. */
  keyed?: boolean;
  /** It asks for no token. */
  open?: boolean;
  /** Resolves to the Response, whose body is still to come. The signal ends that as well. */
  raw?: boolean;
  headers?: Record<string, string>;
}

type Failure = ProblemError | ConnectionError;

/**
 * Makes a call until it is answered. What says that it may succeed a moment later (503, 429, 408), what stands between us and the service
 * (502, 504), and lost connections are tried again. That is safe, because each call only reads, is idempotent, has a key, or makes nothing that is kept.
 * @internal
 */
export function call<T, C extends ProblemCode>(client: Client, method: string, path: string, request: CallRequest, options: WaitOptions = {}): Call<T, C> {
  return keepCalling(client, method, path, request, options) as Promise<T>;
}

async function keepCalling(client: Client, method: string, path: string, request: CallRequest, options: WaitOptions): Promise<unknown> {
  const { signal } = options;
  const key = request.keyed ? (options.key ?? newKey()) : null;
  const waits = 1000 * (options.wait ?? (request.query as { wait?: number } | undefined)?.wait ?? 0);
  const patience = options.attemptTimeoutMs ?? client.options.attemptTimeoutMs ?? 10_000;
  const deadline = performance.now() + waits + (options.timeoutMs ?? client.options.timeoutMs ?? 30_000);
  let rejected: string | undefined;
  for (let attempts = 1, lost = false; ; attempts++) {
    signal?.throwIfAborted();
    const token = request.open ? undefined : await tokenFor(client, rejected);
    signal?.throwIfAborted(); // who was waiting for a token may have gone
    let failure: Failure;
    try {
      const http = toHTTP(client, method, path, request, options, key, token);
      return await attempt(client, http, request.raw === true, signal, Math.min(waits + patience, deadline - performance.now()));
    } catch (error) {
      signal?.throwIfAborted();
      if (!isProblem(error) && !(error instanceof ConnectionError)) {
        throw error;
      }
      failure = error;
    }
    Object.assign(failure, { key, attempts });
    if (lost && method === "DELETE" && isProblem(failure, "not-found")) {
      return undefined; // an attempt whose answer was lost has deleted it
    }
    lost ||= failure instanceof ConnectionError;
    if (isProblem(failure, "unauthenticated") && typeof client.options.token === "function" && token !== undefined && rejected === undefined) {
      rejected = token;
      continue;
    }
    const pause = pauseAfter(attempts, failure.retryAfter);
    if (options.retry === false || !isPassing(failure) || performance.now() + pause >= deadline) {
      throw failure;
    }
    client.options.onRetry?.(failure, pause);
    await sleep(pause, signal);
  }
}

async function tokenFor(client: Client, rejected: string | undefined): Promise<string | undefined> {
  const { token } = client.options;
  return typeof token === "function" ? token(rejected) : token;
}

function toHTTP(client: Client, method: string, path: string, request: CallRequest, options: WaitOptions, key: string | null, token: string | undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null) {
        query.append(name, String(one));
      }
    }
  }
  const headers = new Headers(request.headers);
  const set = (name: string, value: string | null | undefined) => value && headers.set(name, value);
  set("Authorization", token && `Bearer ${token}`);
  set("Buyer-Id", request.open ? null : (options.buyer ?? client.options.buyer));
  set("Content-Type", request.media ?? (request.body && "application/json"));
  set("Idempotency-Key", key);
  set("Prefer", options.wait ? `wait=${options.wait}` : null);
  const url = (client.options.baseUrl ?? "").replace(/\/$/, "") + path + (query.size > 0 ? `?${query}` : "");
  const init: RequestInit = { method, headers, cache: "no-store" };
  if (request.media) {
    init.body = request.body as Blob | string;
  } else if (request.body) {
    init.body = JSON.stringify(request.body);
  }
  return { url, init };
}

async function attempt(client: Client, http: { url: string; init: RequestInit }, raw: boolean, signal: AbortSignal | undefined, limitMs: number): Promise<unknown> {
  const ended = new AbortController();
  const end = () => ended.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  const timer = limitMs < 2 ** 31 ? setTimeout(end, limitMs) : undefined; // a longer one fires at once
  let streams = false;
  try {
    // Here, so that what can't be sent at all is not taken for a lost connection.
    const request = new Request(http.url, { ...http.init, signal: ended.signal });
    const answer = async () => {
      const sent = Date.now();
      const response = await (client.options.fetch ?? fetch)(request);
      if (!response.headers.has("Age")) { // from a cache, with the date of then
        client.clock.heard(response.headers.get("Date"), sent, Date.now());
      }
      streams = raw && response.ok;
      return streams ? response : read(response);
    };
    return await Promise.race([answer().catch(asFailure), over(ended.signal)]);
  } finally {
    clearTimeout(timer);
    if (!streams) {
      signal?.removeEventListener("abort", end);
    }
  }
}

function asFailure(error: unknown): never {
  throw isProblem(error) || error instanceof ConnectionError ? error : new ConnectionError("The connection was lost.", null, null, { cause: error });
}

// Rejects when a signal is aborted. In Node.js 20 fetch forgets about its signal when the garbage collector was there.
function over(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new ConnectionError("No answer in time.", null, null, { cause: signal.reason }))));
}

async function read(response: Response): Promise<unknown> {
  const text = await response.text();
  const type = response.headers.get("Content-Type") ?? "";
  if (response.ok && response.status === 204) {
    return undefined;
  }
  const retryAfter = secondsOf(response.headers.get("Retry-After"));
  if (!type.includes(response.ok ? "json" : "problem+json")) {
    throw new ConnectionError(`Something else than the service has answered, with ${response.status}.`, response.status, retryAfter);
  }
  const answer: unknown = JSON.parse(text); // throws when it was cut off
  if (response.ok) {
    return answer;
  }
  throw problemError(answer as Problem, retryAfter, response.headers.get("X-Request-Id"));
}

// Retry-After is a number of seconds or a date.
function secondsOf(retryAfter: string | null): number | null {
  if (!retryAfter) {
    return null;
  }
  const seconds = /^\d+$/.test(retryAfter) ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

/** Tells whether the same call may succeed a moment later. @internal */
export function isPassing(error: unknown): boolean {
  return isProblem(error) ? [408, 429, 503].includes(error.status) : error instanceof ConnectionError && [null, 408, 429, 502, 503, 504].includes(error.status);
}

/**
 * How many ms to wait before the next attempt: ever longer, at least what the service said, and never the same for all that were told so.
 * @internal
 */
export function pauseAfter(attempts: number, retryAfter: number | null): number {
  return Math.max(Math.min(5000, 100 * 2 ** attempts) * (0.5 + Math.random() / 2), (retryAfter ?? 0) * 1000 * (1 + Math.random() / 2));
}

/** @internal */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}
