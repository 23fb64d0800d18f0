import { saleChanges } from "lastunit";
import type { Money, Sale, SaleChange, SaleItem } from "lastunit";
import { money } from "./format";
import { useReading } from "./reading";
import { client } from "./session";
import { duration, when } from "./time";
import { Needs, Panel, Read, Time } from "./ui";

/** Who did what to a sale, the latest first. */
export function Changes({ sale }: { sale: Sale }) {
  return <Panel title="What was done" class="log-of"><Needs scope="sale" what="Reading what was done"><Log sale={sale} /></Needs></Panel>;
}

function Log({ sale }: { sale: Sale }) {
  const changes = useReading((signal) => saleChanges(client.value, sale.id, { limit: 100 }, { signal, retry: false }), [client.value, sale.id, sale.updated_at, sale.status], 15_000);
  return (
    <Read from={changes} what="what was done">
      {({ items }) => (
        <ol class="log">
          {[...items].reverse().map((c) => <li key={c.id}><Time at={c.at} /> <p><strong>{did[c.action]}</strong>{details(c)} <span class="note">by the key {c.key_name}</span></p></li>)}
        </ol>
      )}
    </Read>
  );
}

const did: Record<SaleChange["action"], string> = { created: "Planned", changed: "Changed", schedule: "Scheduled", open: "Opened", pause: "Paused", resume: "Resumed", close: "Closed" };

const names: Record<string, string> = { opens_at: "opening", closes_at: "closing", hold_seconds: "cart time", cooldown_seconds: "cool-down", max_quantity: "most in one claim", items: "products" };

function details(c: SaleChange): string {
  const changed = Object.entries(c.changes).filter(([, value]) => typeof value === "object" && value !== null && "to" in value) as [string, { from: unknown; to: unknown }][];
  if (c.action === "created" || changed.length === 0) {
    return "";
  }
  return `: ${changed.map(([name, { from, to }]) => `${names[name] ?? name.replaceAll("_", " ")} from ${inWords(name, from)} to ${inWords(name, to)}`).join("; ")}`;
}

function inWords(name: string, value: unknown): string {
  if (value === null || value === undefined) {
    return "none";
  }
  if (name.endsWith("_at") && typeof value === "string") {
    return when(value);
  }
  if (name.endsWith("_seconds") && typeof value === "number") {
    return duration(value * 1000);
  }
  if (name === "items" && Array.isArray(value)) {
    return (value as SaleItem[]).map((item) => `${item.sku} at ${item.price ? money(item.price as Money) : "?"}${item.quantity ? `, ${item.quantity} set aside` : ""}`).join(" and ");
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
