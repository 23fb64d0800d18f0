// What is read from the service, once or again and again, and what is done there.
import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { ConnectionError, isProblem, newKey } from "lastunit";
import { say } from "./notices";
import { signOut } from "./session";

/** When the service has answered last, by this machine's clock, and whether it has fallen silent since. */
export const heard = signal<number | null>(null);
export const silent = signal(false);

export interface Reading<T> {
  /** What was read last. It stays when a later reading fails. */
  value: T | undefined;
  /** When it was read, by this machine's clock. */
  at: number | undefined;
  /** Why the latest reading failed; undefined when it did not. */
  error: unknown;
  reload: () => Promise<void>;
}

interface State<T> {
  value?: T;
  at?: number;
  error?: unknown;
}

/**
 * Reads at once, whenever one of `on` changes, and every so many ms as long as the page can be seen. `ask` is told what was read before under the
 * same `on`.
 */
export function useReading<T>(ask: (signal: AbortSignal, before: T | undefined) => Promise<T>, on: unknown[], everyMs = 0): Reading<T> {
  const [state, setState] = useState<State<T>>({});
  const reload = useRef(async () => {});
  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last: State<T> = {};
    let turn = 0;
    const set = (next: State<T>) => {
      last = next;
      setState(next);
    };
    const read = async () => {
      clearTimeout(timer);
      const mine = ++turn;
      try {
        const value = await ask(end.signal, last.value);
        if (mine === turn && !end.signal.aborted) {
          set({ value, at: Date.now() });
          heard.value = Date.now();
          silent.value = false;
        }
      } catch (error) {
        if (mine === turn && !end.signal.aborted) {
          set({ ...last, error });
          silent.value ||= error instanceof ConnectionError || isProblem(error, "busy");
          if (isProblem(error, "unauthenticated")) {
            signOut(error);
          }
        }
      }
      if (mine === turn && !end.signal.aborted && everyMs > 0 && !isProblem(last.error, "forbidden", "not-found", "validation")) {
        timer = setTimeout(() => (document.hidden ? undefined : read()), everyMs);
      }
    };
    const seen = () => {
      if (!document.hidden && everyMs > 0) {
        void read();
      }
    };
    reload.current = read;
    set({});
    void read();
    document.addEventListener("visibilitychange", seen);
    addEventListener("online", seen);
    return () => {
      end.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      removeEventListener("online", seen);
    };
  }, [...on, everyMs]);
  return { value: state.value, at: state.at, error: state.error, reload: () => reload.current() };
}

export interface Action<A extends unknown[]> {
  /** Does it, unless it is being done. Resolves to whether it was done. */
  run: (...what: A) => Promise<boolean>;
  busy: boolean;
  error: unknown;
  forget: () => void;
}

/**
 * Something that can be done. `act` is given the Idempotency-Key, which stays the same until an answer has come, and resolves to what it did, in
 * words. The same thing asked for twice, or again because no answer came, is done once.
 */
export function useAction<A extends unknown[]>(act: (key: string, ...what: A) => Promise<string>): Action<A> {
  const [state, setState] = useState<{ busy: boolean; error: unknown }>({ busy: false, error: undefined });
  const open = useRef<{ key: string; what: string } | null>(null);
  const busy = useRef(false);
  const run = async (...what: A): Promise<boolean> => {
    if (busy.current) {
      return false;
    }
    busy.current = true;
    const text = JSON.stringify(what);
    if (open.current?.what !== text) {
      open.current = { key: newKey(), what: text };
    }
    setState({ busy: true, error: undefined });
    try {
      say(await act(open.current.key, ...what));
      open.current = null;
      setState({ busy: false, error: undefined });
      return true;
    } catch (error) {
      if (isProblem(error) && error.code !== "outcome-unknown") {
        open.current = null;
      }
      setState({ busy: false, error });
      if (isProblem(error, "unauthenticated")) {
        signOut(error);
      }
      return false;
    } finally {
      busy.current = false;
    }
  };
  return { run, busy: state.busy, error: state.error, forget: () => setState({ busy: false, error: undefined }) };
}
