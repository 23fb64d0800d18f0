import { call, isPassing, sleep } from "./call.js";
import type { CallRequest, Client } from "./call.js";

/** One of a stream of server-sent events. */
export interface ServerEvent {
  name: string;
  data: string;
}

/** How something is followed. */
export interface Follower {
  path: string;
  request: CallRequest;
  buyer?: string | undefined;
  /** Takes an event; true: nothing after it matters. */
  take(event: ServerEvent): boolean;
  /** What is done instead, once, where streams do not get through; true: it is over. */
  otherwise(): Promise<boolean>;
  /** Is told when a stream begins and when it ends. */
  live?(live: boolean): void;
}

// So many streams in a row of which nothing was heard, or one that is silent from the beginning: something in between keeps them back, or
// there are none. Later they are tried again.
const deafAtMost = 2;
const firstWordMs = 3000;
const streamAgainMs = 60_000;

/** Reads streams, one after the other, until nothing after matters. Rejects when the service refuses, and when the signal is aborted. */
export async function follow(client: Client, f: Follower, signal: AbortSignal): Promise<void> {
  const seen = { id: "", retryMs: 1000 };
  let deaf = 0;
  for (let streamAt = 0; ; ) {
    signal.throwIfAborted();
    if (deaf < deafAtMost || performance.now() >= streamAt) {
      const end = await readStream(client, f, seen, signal);
      if (end === "done") {
        return;
      }
      deaf = { heard: 0, cut: deaf + 1, deaf: deafAtMost }[end];
      streamAt = performance.now() + streamAgainMs;
    }
    if (deaf < deafAtMost) {
      await sleep(seen.retryMs * (0.5 + Math.random()), signal); // not all at once, when a server of many has gone
      continue;
    }
    try {
      if (await f.otherwise()) {
        return;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!isPassing(error)) {
        throw error;
      }
    }
  }
}

async function readStream(client: Client, f: Follower, seen: { id: string; retryMs: number }, signal: AbortSignal): Promise<"done" | "heard" | "cut" | "deaf"> {
  const reading = new AbortController();
  const end = () => reading.abort(signal.reason);
  signal.addEventListener("abort", end, { once: true });
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended: "heard" | "cut" | "deaf" = "deaf";
  let taking = false;
  try {
    const response = await open(client, f, seen.id, reading.signal);
    if (!response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      return "deaf";
    }
    f.live?.(true);
    ended = "cut";
    const silent = () => {
      ended = ended === "cut" ? "deaf" : ended;
      reading.abort();
    };
    const reader = response.body.getReader();
    // Node.js 20 does not always do that by itself; see over in call.ts.
    reading.signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
    const decoder = new TextDecoder();
    const parse = parser(seen);
    const silenceMs = client.options.silenceMs ?? 40_000;
    for (;;) {
      timer = setTimeout(silent, ended === "heard" ? silenceMs : Math.min(silenceMs, firstWordMs));
      const { value, done } = await reader.read();
      clearTimeout(timer);
      if (done) {
        signal.throwIfAborted();
        return ended;
      }
      ended = "heard";
      for (const event of parse(decoder.decode(value, { stream: true }))) {
        taking = true;
        if (f.take(event)) {
          return "done";
        }
        taking = false;
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (taking) {
      throw error; // the listener's own
    }
    return ended;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    reading.abort(); // hangs up
    f.live?.(false);
  }
}

function open(client: Client, f: Follower, lastSeen: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { Accept: "text/event-stream" };
  if (lastSeen) {
    headers["Last-Event-ID"] = lastSeen;
  }
  return call(client, "GET", f.path, { ...f.request, raw: true, headers }, { signal, timeoutMs: Infinity, ...(f.buyer && { buyer: f.buyer }) });
}

/** Parses a stream of events (WHATWG HTML, section 9.2.6), whichever way it was cut into pieces. */
export function parser(seen: { id: string; retryMs: number }): (text: string) => ServerEvent[] {
  let rest = "";
  let name = "";
  let data: string[] = [];
  let id = seen.id;
  return (text) => {
    const events: ServerEvent[] = [];
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/); // the last \r may be half of a \r\n
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) {
          seen.id = id;
          events.push({ name: name || "message", data: data.join("\n") });
        }
        name = "";
        data = [];
        continue;
      }
      const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
      switch (field) {
        case "event":
          name = value;
          break;
        case "data":
          data.push(value);
          break;
        case "id":
          id = value;
          break;
        case "retry":
          seen.retryMs = /^\d+$/.test(value) ? Number(value) : seen.retryMs;
      }
    }
    return events;
  };
}
