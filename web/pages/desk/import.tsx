import { importSheet } from "lastunit";
import type { FieldChange, Import, ImportItem } from "lastunit";
import { useState } from "preact/hooks";
import { count, plural, units } from "./format";
import { sure } from "./notices";
import { useAction } from "./reading";
import { client } from "./session";
import { Button, Facts, Field, Problem } from "./ui";

// A large sheet takes its time.
const patient = { timeoutMs: 300_000, attemptTimeoutMs: 280_000 };

interface Chosen {
  name: string;
  /** Tells it from another choice, of the same name. */
  at: number;
  /** As it was when it was chosen: what was looked at is what is imported. */
  content: Blob;
}

/** Products and stock from a CSV file: chosen, looked at, and imported after one question. */
export function ImportForm({ done, leave }: { done: () => void; leave: () => void }) {
  const [chosen, setChosen] = useState<Chosen>();
  const [currency, setCurrency] = useState("");
  const [plan, setPlan] = useState<Import>();
  const asked = currency.trim() === "" ? {} : { currency: currency.trim().split(/[\s,]+/) };
  const look = useAction(async (_, name: string) => {
    setPlan(undefined);
    const found = await importSheet(client.value, chosen!.content, { ...asked, dry_run: true }, patient);
    setPlan(found);
    return found.item_count === 0 ? `Looked at ${name}: nothing would change.` : `Looked at ${name}: nothing is changed yet.`;
  });
  const bring = useAction(async (key, name: string, _at: number, _currency: string) => {
    const made = await importSheet(client.value, chosen!.content, asked, { key, ...patient });
    setPlan(undefined);
    done();
    return `Imported ${name}: ${said(made)}.`;
  });
  const choose = async (file: File | undefined) => {
    setPlan(undefined);
    look.forget();
    bring.forget();
    setChosen(file && { name: file.name, at: Date.now(), content: new Blob([await file.arrayBuffer()]) });
  };
  const ask = async () => {
    if (plan && chosen && await sure({ title: `Import ${chosen.name}?`, yes: "Import it", happens: [`${sentence(said(plan))}.`, "All of it or nothing. Importing the same file again changes nothing."] })) {
      void bring.run(chosen.name, chosen.at, currency);
    }
  };
  return (
    <form class="fields" onSubmit={(e) => { e.preventDefault(); if (chosen) void look.run(chosen.name); }}>
      <Field label="File" hint="CSV in our own columns, or as Shopify exports products or inventory.">
        {(f) => <input {...f} type="file" accept=".csv,text/csv" required onChange={(e) => void choose(e.currentTarget.files?.[0])} />}
      </Field>
      <Field label="Currency" hint="Of Shopify's prices, which do not name theirs.">
        {(f) => <input {...f} size={8} value={currency} onInput={(e) => { setPlan(undefined); setCurrency(e.currentTarget.value.toUpperCase()); }} />}
      </Field>
      <div class="actions long">
        <Button tone={plan ? "" : "main"} type="submit" busy={look.busy}>{look.busy ? "Looking …" : "See what would change"}</Button>
        {plan && plan.item_count > 0 && <Button tone="main" busy={bring.busy} onClick={() => void ask()}>{bring.busy ? "Importing …" : "Import …"}</Button>}
        <Button tone="plain" onClick={leave}>Leave it</Button>
      </div>
      <Problem error={look.error ?? bring.error} />
      {plan && <Planned of={plan} />}
    </form>
  );
}

function said(i: Import): string {
  const parts = [
    i.created > 0 && `${plural(i.created, "product")} created`,
    i.changed > 0 && `${plural(i.changed, "product")} changed`,
    i.units > 0 && `${units(i.units)} received`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : "nothing changed";
}

const sentence = (text: string) => text[0]!.toUpperCase() + text.slice(1);

function Planned({ of }: { of: Import }) {
  const shown = of.items.slice(0, 100);
  return (
    <div class="long">
      <Facts of={[
        ["Lines", count(of.lines)], ["Created", count(of.created)], ["Changed", count(of.changed)], ["As they are", count(of.unchanged)],
        ["Units that come in", count(of.units)], ["Lines of stock that have come in before", count(of.known)],
      ]} />
      {shown.length > 0 && (
        <div class="scroll tall">
          <table class="list">
            <thead><tr><th scope="col">Product</th><th scope="col">What changes</th><th scope="col" class="number">Units</th><th scope="col" class="number">Line</th></tr></thead>
            <tbody>{shown.map((item) => <Row key={item.sku} item={item} />)}</tbody>
          </table>
        </div>
      )}
      {of.item_count > shown.length && <p class="more">and {count(of.item_count - shown.length)} more</p>}
    </div>
  );
}

function Row({ item }: { item: ImportItem }) {
  return (
    <tr>
      <th scope="row">{item.sku}</th>
      <td>{item.created ? "created" : item.changes.length === 0 ? "stock alone" : item.changes.map((c) => <Change key={c.field} of={c} />)}</td>
      <td class="number">{item.units > 0 ? `+${count(item.units)}` : ""}</td>
      <td class="number">{item.line}</td>
    </tr>
  );
}

const brief = (value: string | null) => (value === null ? "none" : value.length > 60 ? `${value.slice(0, 59)}…` : value);

function Change({ of }: { of: FieldChange }) {
  return <div>{of.field}: <del>{brief(of.from)}</del> → <ins>{brief(of.to)}</ins></div>;
}
