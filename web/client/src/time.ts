import type { Client } from "./call.js";

/** What the service's clock says now, in ms since 1970, as far as its answers have told. */
export function serverNow(client: Client): number {
  return Date.now() + client.clock.offset;
}

/** How many ms there are by the service's clock until an instant of its answers, such as `expires_at`; 0 when it is over, or null. */
export function remaining(client: Client, until: string | null): number {
  return until === null ? 0 : Math.max(0, Date.parse(until) - serverNow(client));
}
