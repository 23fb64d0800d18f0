import { closeSale, openSale, pauseSale, resumeSale, scheduleSale } from "lastunit";
import type { Client, Sale } from "lastunit";
import { sure } from "./notices";
import type { Question } from "./notices";
import { useAction } from "./reading";
import { to } from "./route";
import { SaleReport } from "./sale-report";
import { client, may } from "./session";
import { when, zoneName } from "./time";
import { Button, Problem } from "./ui";

type Move = (client: Client, id: string, options: { key: string }) => Promise<Sale>;

/** What can be done with a sale as it is; asked once where it can't be undone. */
export function SaleActions({ sale, changed }: { sale: Sale; changed: () => Promise<void> }) {
  const move = useAction(async (key, name: keyof typeof moves) => {
    const now = await moves[name].call(client.value, sale.id, { key });
    await changed();
    return moves[name].did(now);
  });
  const ask = async (name: keyof typeof moves) => {
    const question = moves[name].asks?.(sale);
    if (!question || (await sure(question))) {
      void move.run(name);
    }
  };
  if (!may("sale")) {
    return <div class="tools"><p class="note">Running it needs a key with the scope <code>sale</code>.</p></div>;
  }
  const button = (name: keyof typeof moves, says: string, tone: "" | "main" | "danger" = "") => <Button tone={tone} busy={move.busy} onClick={() => void ask(name)}>{says}</Button>;
  const change = <a class="button" href={to(["sales", sale.id, "change"])}>Change</a>;
  return (
    <div class="tools">
      <Problem error={move.error} />
      {sale.status !== "draft" && sale.status !== "scheduled" && <SaleReport sale={sale} />}
      {sale.status === "draft" && <>{change}{button("schedule", "Schedule …", "main")}</>}
      {sale.status === "scheduled" && <>{change}{button("close", "Call off …")}{button("open", "Open now …")}</>}
      {sale.status === "open" && <>{change}{button("close", "Close …")}{button("pause", "Pause", "danger")}</>}
      {sale.status === "paused" && <>{change}{button("close", "Close …")}{button("resume", "Resume", "main")}</>}
    </div>
  );
}

const moves: Record<"schedule" | "open" | "pause" | "resume" | "close", { call: Move; did: (s: Sale) => string; asks?: (s: Sale) => Question }> = {
  schedule: {
    call: scheduleSale,
    did: (s) => `Scheduled ${s.name}. It opens by itself ${when(s.opens_at)}.`,
    asks: (s) => ({
      title: `Schedule ${s.name}?`, yes: "Schedule it",
      happens: [
        `It opens by itself ${when(s.opens_at)} and closes ${when(s.closes_at)} (${zoneName(Date.parse(s.opens_at))}).`,
        ...s.items.map((item) => (item.quantity ? `${item.quantity} units of ${item.sku} are set aside for it now.` : `Until it closes, ${item.sku} sells through it alone.`)),
        "Buyers see it. It can't become a draft again; closing it ends it.",
      ],
    }),
  },
  open: {
    call: openSale,
    did: (s) => `Opened ${s.name}.`,
    asks: (s) => ({ title: `Open ${s.name} now?`, yes: "Open it now", happens: [`It opens at once instead of ${when(s.opens_at)}, and buyers can claim from it.`, "It can be paused, but not unopened."] }),
  },
  pause: { call: pauseSale, did: (s) => `Paused ${s.name}: nothing more of it is claimed. Queued requests keep their place; carts, orders and payments go on.` },
  resume: { call: resumeSale, did: (s) => `${s.name} goes on.` },
  close: {
    call: closeSale,
    did: (s) => `Closed ${s.name}.`,
    asks: (s) => ({
      title: s.status === "scheduled" ? `Call ${s.name} off?` : `Close ${s.name}?`,
      yes: s.status === "scheduled" ? "Call it off" : "Close it",
      grave: true,
      happens: [
        s.status !== "scheduled" ? "Nothing more of it is claimed, from now on and for good." : "It never opens. It is listed as closed.",
        ...(s.items.some((item) => item.quantity) ? ["What is left of what was set aside sells normally again."] : []),
        ...(s.status !== "scheduled" ? ["Requests that are queued are refused. What is in carts may still be ordered and paid."] : []),
      ],
    }),
  },
};
