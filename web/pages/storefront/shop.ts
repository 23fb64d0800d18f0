// The one client of the page, who the buyer is, and how the connection does.
import { signal } from "@preact/signals";
import { createClient, serverNow } from "lastunit";
import { token } from "./session";

/** How the connection does: ok; slow, when calls are made again; offline, when the device says so. */
export const connection = signal<"ok" | "slow" | "busy" | "offline">(navigator.onLine ? "ok" : "offline");

let trouble: ReturnType<typeof setTimeout> | undefined;

function reached(): void {
  clearTimeout(trouble);
  trouble = undefined;
  connection.value = navigator.onLine ? "ok" : "offline"; // what comes from before is no sign of life
}

// Not at once: most calls that are made again succeed before anybody would have noticed.
function missed(as: "slow" | "busy"): void {
  if (connection.value === "ok") {
    trouble ??= setTimeout(() => (connection.value = navigator.onLine ? as : "offline"), 800);
  }
}

// What may take its time: to wait for a turn, and for a bank.
const patient = /[?&]wait=|\/pay$/;

export const shop = createClient({
  token,
  silenceMs: 25_000,
  onRetry: (error) => missed("code" in error ? "busy" : "slow"),
  fetch: async (input, init) => {
    const { signal, url } = input as Request; // the client makes one of what it sends
    const slow = patient.test(url) ? undefined : setTimeout(() => missed("slow"), 4000);
    try {
      const response = await fetch(input, init);
      if (response.status < 500) {
        reached();
      }
      return response;
    } catch (error) {
      if (!signal.aborted) {
        missed("slow");
      }
      throw error;
    } finally {
      clearTimeout(slow);
    }
  },
});

addEventListener("offline", () => (connection.value = "offline"));
addEventListener("online", () => (connection.value = "ok"));

/** The service's time in ms, each second anew. */
export const now = signal(serverNow(shop));
setInterval(() => (now.value = serverNow(shop)), 1000);
document.addEventListener("visibilitychange", () => (now.value = serverNow(shop)));

/** What a screen reader says next. */
export const spoken = signal("");

export function say(text: string): void {
  spoken.value = "";
  queueMicrotask(() => (spoken.value = text));
}
