import { changeSale, each, getSale, listProducts, listSales, outcome, planSale, scheduleSale, serverNow } from "lastunit";
import type { Product, Sale, SaleBody, SalePatch } from "lastunit";
import { useMemo, useState } from "preact/hooks";
import { look } from "./checks";
import { Findings } from "./found";
import { plural } from "./format";
import { say, sure } from "./notices";
import { Items } from "./plan-items";
import { bodyOf, patchOf, typedOf } from "./plan-form";
import type { Typed } from "./plan-form";
import { useAction, useReading } from "./reading";
import { go, to } from "./route";
import { client } from "./session";
import { duration, tick, when, zoneName } from "./time";
import { Button, Field, Needs, Panel, Problem, Read, wrongWith } from "./ui";

interface Around {
  sale: Sale | null;
  products: Product[];
  sales: Sale[];
}

/** Plans a sale, or changes one. */
export function Plan({ id }: { id: string | null }) {
  return <Needs scope="sale" what="Planning sales"><Loaded id={id} /></Needs>;
}

function Loaded({ id }: { id: string | null }) {
  const around = useReading(async (signal): Promise<Around> => {
    const products: Product[] = [];
    for await (const p of each(listProducts, client.value, { limit: 100 }, { signal })) {
      products.push(p);
    }
    const live = await listSales(client.value, { limit: 100, state: ["draft", "scheduled", "open", "paused"] }, { signal });
    return { sale: id === null ? null : await getSale(client.value, id, { signal }), products, sales: live.items };
  }, [client.value, id]);
  return <Read from={around} what="products and sales">{(a) => <Form {...a} />}</Read>;
}

const termNames: Record<keyof SaleBody, string> = {
  name: "its name", opens_at: "its opening", closes_at: "its closing", hold_seconds: "how long a cart lasts", cooldown_seconds: "its cool-down",
  purchase_limit: "its limit", max_quantity: "the most in one claim", items: "its products",
};

function useSave(sale: Sale | null) {
  return useAction(async (key, typed: Typed, schedule: boolean) => {
    const terms: SaleBody | SalePatch = sale ? patchOf(sale, typed) : bodyOf(typed).body;
    const nothing = Object.keys(terms).length === 0;
    const saved = sale === null ? await planSale(client.value, terms as SaleBody, { key }) : nothing ? sale : await changeSale(client.value, sale.id, terms as SalePatch, { key });
    const said = sale === null ? `Planned ${saved.name} as a draft, which only operators see.` : nothing ? `Nothing of ${saved.name} was changed.` : `Changed ${saved.name}: ${Object.keys(terms).map((name) => termNames[name as keyof SaleBody]).join(", ")}.`;
    if (!schedule) {
      go(to(["sales", saved.id]));
      return said;
    }
    say(said);
    go(to(["sales", saved.id])); // the draft is there, whatever becomes of its scheduling
    const moved = await outcome(scheduleSale(client.value, saved.id, { key: `${key}-schedule` }));
    return moved.ok ? `Scheduled ${moved.value.name}. It opens by itself ${when(moved.value.opens_at)}.` : `${saved.name} stays a draft, it was not scheduled. ${moved.problem.detail}`;
  });
}

function Form({ sale, products, sales }: Around) {
  const [typed, setTyped] = useState(() => typedOf(sale, serverNow(client.value)));
  const [tried, setTried] = useState(false);
  const save = useSave(sale);
  const { body, wrong } = bodyOf(typed);
  const set = (change: Partial<Typed>) => setTyped({ ...typed, ...change });
  const status = sale?.status ?? "draft";
  const bySku = useMemo(() => new Map(products.map((p) => [p.sku, p])), [products]);
  const found = look({ ...body, id: sale?.id ?? null, purchase_limit: body.purchase_limit ?? null, max_quantity: body.max_quantity ?? 10, status }, bySku, sales, (tick.value, serverNow(client.value)));
  const at = (location: string) => wrongWith(save.error, location) ?? (tried ? wrong[location] : undefined);
  const submit = async (schedule: boolean) => {
    setTried(true);
    if (Object.keys(wrong).length > 0) {
      return;
    }
    if ((schedule && !(await sure(scheduling(body)))) || (!schedule && !(await sureOfLimit(sale, body)))) {
      return;
    }
    void save.run(typed, schedule);
  };
  return (
    <form class="plan" noValidate onSubmit={(e) => { e.preventDefault(); void submit(false); }}>
      <div class="head">
        <div><p class="crumb"><a href={to([])}>Overview</a>{sale && <> / <a href={to(["sales", sale.id])}>{sale.name}</a></>}</p><h1>{sale ? "Change the sale" : "Plan a sale"}</h1></div>
      </div>
      <div class="columns">
        <div class="wide">
          <Terms typed={typed} set={set} at={at} status={status} />
          <Items typed={typed} set={set} at={at} products={products} locked={status !== "draft"} />
        </div>
        <div class="narrow sticky">
          <Panel title="Looked over">
            <Findings of={found} />
            <p class="note">{summary(body)}</p>
            <div class="actions stack">
              {status === "draft" && <Button tone="main" busy={save.busy} onClick={() => void submit(true)}>Save and schedule …</Button>}
              <Button type="submit" tone={status === "draft" ? "" : "main"} busy={save.busy}>{status === "draft" ? "Save as a draft" : "Save the changes"}</Button>
              <a class="button plain" href={sale ? to(["sales", sale.id]) : to([])}>Leave it</a>
            </div>
            {tried && Object.keys(wrong).length > 0 && <p class="problem" role="alert">{plural(Object.keys(wrong).length, "field is", "fields are")} not right yet: see what stands there.</p>}
            <Problem error={save.error} />
          </Panel>
        </div>
      </div>
    </form>
  );
}

function scheduling(body: SaleBody) {
  const aside = body.items.filter((item) => item.quantity);
  const only = body.items.filter((item) => !item.quantity).map((item) => item.sku);
  return {
    title: `Schedule ${body.name}?`, yes: "Schedule it",
    happens: [
      `It opens by itself ${when(body.opens_at)} and closes ${when(body.closes_at)} (${zoneName(Date.parse(body.opens_at))}).`,
      ...(aside.length > 0 ? [`Set aside for it now: ${aside.map((item) => `${item.quantity} of ${item.sku}`).join(", ")}.`] : []),
      ...(only.length > 0 ? [`From now until it closes, ${only.join(", ")} ${only.length === 1 ? "sells" : "sell"} through it alone.`] : []),
      "Buyers see it. It can't become a draft again; closing it ends it.",
    ],
  };
}

async function sureOfLimit(sale: Sale | null, body: SaleBody): Promise<boolean> {
  const running = sale?.status === "open" || sale?.status === "paused";
  if (!running || sale.purchase_limit === (body.purchase_limit ?? null)) {
    return true;
  }
  return sure({ title: "Raise the limit?", yes: "Raise it", happens: [`Each buyer may have ${body.purchase_limit ?? "any number"}, instead of ${sale.purchase_limit}.`, "While the sale is open it can't be lowered again."] });
}

function summary(body: SaleBody): string {
  const long = Date.parse(body.closes_at) - Date.parse(body.opens_at);
  const each = body.purchase_limit ? `${body.purchase_limit} for each buyer` : "any number for each buyer";
  return `${plural(body.items.length, "product")}${long > 0 ? `, open for ${duration(long)}` : ""}, ${each}, held for ${duration(body.hold_seconds * 1000)}.`;
}

interface Part {
  typed: Typed;
  set: (change: Partial<Typed>) => void;
  at: (location: string) => string | undefined;
}

function Terms({ typed, set, at, status }: Part & { status: Sale["status"] }) {
  const running = status === "open" || status === "paused";
  return (
    <Panel title="Terms">
      <div class="fields">
        <Field label="Name" class="long" hint="Buyers see it." error={at("body.name")}>
          {(f) => <input {...f} required maxLength={200} value={typed.name} onInput={(e) => set({ name: e.currentTarget.value })} />}
        </Field>
        <Field label="Opens" hint={running ? "It is open already." : zoneName(Date.parse(typed.opens) || undefined)} error={at("body.opens_at")}>
          {(f) => <input {...f} type="datetime-local" required readOnly={running} value={typed.opens} onInput={(e) => set({ opens: e.currentTarget.value })} />}
        </Field>
        <Field label="Closes" hint={zoneName(Date.parse(typed.closes) || undefined)} error={at("body.closes_at")}>
          {(f) => <input {...f} type="datetime-local" required value={typed.closes} onInput={(e) => set({ closes: e.currentTarget.value })} />}
        </Field>
        <Seconds label="A cart lasts" hint="Then its units are free again." error={at("body.hold_seconds")} value={typed.holdSeconds} set={(holdSeconds) => set({ holdSeconds })} />
        <Seconds label="Cool-down" hint="How long a buyer waits after a cart that ran out." error={at("body.cooldown_seconds")} value={typed.cooldownSeconds} set={(cooldownSeconds) => set({ cooldownSeconds })} />
        <Field label="Limit for each buyer" hint={running ? "May only rise while it is open." : "Over all carts and orders; empty for none."} error={at("body.purchase_limit")}>
          {(f) => <input {...f} type="number" min={1} value={typed.limit} onInput={(e) => set({ limit: e.currentTarget.value })} />}
        </Field>
        <Field label="Most in one claim" error={at("body.max_quantity")}>
          {(f) => <input {...f} type="number" min={1} max={1000} required value={typed.maxQuantity} onInput={(e) => set({ maxQuantity: e.currentTarget.value })} />}
        </Field>
      </div>
    </Panel>
  );
}

function Seconds({ label, hint, error, value, set }: { label: string; hint: string; error: string | undefined; value: number; set: (seconds: number) => void }) {
  const [unit, setUnit] = useState(value > 0 && value % 60 === 0 ? 60 : 1);
  return (
    <Field label={label} hint={hint} error={error}>
      {(f) => (
        <span class="with-unit">
          <input {...f} type="number" min={0} value={value / unit} onInput={(e) => set(Math.round(Number(e.currentTarget.value) * unit))} />
          <select aria-label={`${label}: in`} onChange={(e) => { const to = Number(e.currentTarget.value); set(Math.round((value / unit) * to)); setUnit(to); }}>
            <option value={1} selected={unit === 1}>seconds</option>
            <option value={60} selected={unit === 60}>minutes</option>
          </select>
        </span>
      )}
    </Field>
  );
}
