import { getProduct, getStock, receive, releaseQuarantine, withdraw } from "lastunit";
import type { Product as Shown, ReceiptBody, Stock as Counts, WithdrawalBody } from "lastunit";
import { useState } from "preact/hooks";
import { AuditPanel } from "./audit";
import { money, units } from "./format";
import { sure } from "./notices";
import { ProductForm } from "./product-form";
import { useAction, useReading } from "./reading";
import { to } from "./route";
import { client } from "./session";
import { ByPlace, Stock } from "./stock";
import { Button, Facts, Field, Needs, Panel, Problem, Read, Status, Time, wrongWith } from "./ui";

/** A product: where its units are, and what can be done with them. */
export function Product({ sku }: { sku: string }) {
  const product = useReading((signal) => getProduct(client.value, sku, { signal, retry: false }), [client.value, sku], 3000);
  const stock = useReading((signal) => getStock(client.value, sku, { signal, retry: false }), [client.value, sku], 3000);
  const [changing, setChanging] = useState(false);
  return (
    <Read from={product} what={sku}>
      {(p) => (
        <>
          <div class="head">
            <div><p class="crumb"><a href={to(["products"])}>Products</a></p><h1>{p.name ?? p.sku}</h1><p class="sub"><code>{p.sku}</code></p></div>
            <div class="tools"><Button aria-expanded={changing} onClick={() => setChanging(!changing)}>Change</Button></div>
          </div>
          {changing && (
            <Panel title="Change what is known of it">
              <Needs scope="catalog" what="Changing products"><ProductForm product={p} leave={() => setChanging(false)} done={() => { setChanging(false); void product.reload(); }} /></Needs>
            </Panel>
          )}
          <div class="columns">
            <div class="wide">
              <Panel title="Units by place">
                <Needs scope="stock" what="Counting units"><Read from={stock} what="the stock">{(s) => <ByPlace stock={s} />}</Read></Needs>
              </Panel>
              <Needs scope="stock" what="Moving stock"><Moves sku={sku} stock={stock.value} moved={() => { void stock.reload(); void product.reload(); }} /></Needs>
            </div>
            <div class="narrow"><About p={p} /><AuditPanel skus={[sku]} title="Conservation" /></div>
          </div>
        </>
      )}
    </Read>
  );
}

function About({ p }: { p: Shown }) {
  return (
    <Panel title="As buyers see it">
      <Facts of={[
        ["To be had", <Stock of={p.availability} />],
        ["Price", p.price ? money(p.price) : "only the shop beside knows"],
        ["On sale", p.selling ? "yes" : "no"],
        ["Sale", p.sale ? <><a href={to(["sales", p.sale.id])}>{p.sale.name}</a> <Status of={p.sale.status} /></> : "none planned"],
        ["Changed", <Time at={p.updated_at} />],
      ]} />
      {p.description && <p class="note">{p.description}</p>}
    </Panel>
  );
}

function Moves({ sku, stock, moved }: { sku: string; stock: Counts | undefined; moved: () => void }) {
  return (
    <div class="moves">
      <Receive sku={sku} moved={moved} />
      <Withdraw sku={sku} moved={moved} />
      {stock !== undefined && stock.quarantine > 0 && <Release sku={sku} most={stock.quarantine} moved={moved} />}
    </div>
  );
}

function Receive({ sku, moved }: { sku: string; moved: () => void }) {
  const [quantity, setQuantity] = useState("");
  const [serials, setSerials] = useState("");
  const [bySerial, setBySerial] = useState(false);
  const [reference, setReference] = useState("");
  const save = useAction(async (key, body: ReceiptBody) => {
    const made = await receive(client.value, sku, body, { key });
    moved();
    setQuantity("");
    setSerials("");
    return `Received ${units(made.quantity)} of ${sku} (${made.reference}). They can be claimed.`;
  });
  const list = serials.split(/[\n,;\t]+/).map((s) => s.trim()).filter(Boolean);
  const submit = (e: Event) => {
    e.preventDefault();
    void save.run(bySerial ? { serials: list, reference: reference.trim() } : { quantity: Number(quantity), reference: reference.trim() });
  };
  return (
    <Panel title="Receive units">
      <form class="fields one" onSubmit={submit}>
        <fieldset class="choice">
          <legend class="hidden-visually">How</legend>
          <label><input type="radio" name="how" checked={!bySerial} onChange={() => setBySerial(false)} /> <span>So many</span></label>
          <label><input type="radio" name="how" checked={bySerial} onChange={() => setBySerial(true)} /> <span>By serial</span></label>
        </fieldset>
        {bySerial
          ? <Field label="Serials" hint={list.length > 0 ? `${units(list.length)}.` : "One a line, or with commas between."} error={wrongWith(save.error, "body.serials")}>
              {(f) => <textarea {...f} rows={4} required spellcheck={false} class="mono" value={serials} onInput={(e) => setSerials(e.currentTarget.value)} />}
            </Field>
          : <Field label="Quantity" error={wrongWith(save.error, "body.quantity")}>
              {(f) => <input {...f} type="number" required min={1} max={1000000} value={quantity} onInput={(e) => setQuantity(e.currentTarget.value)} />}
            </Field>}
        <Field label="Reference" hint="Such as the number of the delivery note." error={wrongWith(save.error, "body.reference")}>
          {(f) => <input {...f} required maxLength={200} value={reference} onInput={(e) => setReference(e.currentTarget.value)} />}
        </Field>
        <div class="actions"><Button type="submit" busy={save.busy}>Receive</Button></div>
        <Problem error={save.error} />
      </form>
    </Panel>
  );
}

function Withdraw({ sku, moved }: { sku: string; moved: () => void }) {
  const [quantity, setQuantity] = useState("");
  const [reason, setReason] = useState("");
  const [place, setPlace] = useState<"available" | "quarantine">("available");
  const save = useAction(async (key, body: WithdrawalBody) => {
    const made = await withdraw(client.value, sku, body, { key });
    moved();
    setQuantity("");
    return `Withdrew ${units(made.quantity)} of ${sku} from ${made.place === "quarantine" ? "quarantine" : "what is available"} (${made.reason}).`;
  });
  const submit = async (e: Event) => {
    e.preventDefault();
    const n = Number(quantity);
    if (await sure({
      title: `Withdraw ${units(n)}?`, yes: `Withdraw ${units(n)}`, grave: true,
      happens: [`${units(n)} of ${sku} leave${n === 1 ? "s" : ""} the stock for good; nobody can buy ${n === 1 ? "it" : "them"} any more.`, `The reason that stays with ${n === 1 ? "it" : "them"}: ${reason.trim()}.`],
    })) {
      void save.run({ quantity: n, reason: reason.trim(), place });
    }
  };
  return (
    <Panel title="Withdraw units">
      <form class="fields one" onSubmit={submit}>
        <fieldset class="choice">
          <legend class="hidden-visually">From where</legend>
          <label><input type="radio" name="place" checked={place === "available"} onChange={() => setPlace("available")} /> <span>Available</span></label>
          <label><input type="radio" name="place" checked={place === "quarantine"} onChange={() => setPlace("quarantine")} /> <span>Quarantine</span></label>
        </fieldset>
        <Field label="Quantity" error={wrongWith(save.error, "body.quantity")}>
          {(f) => <input {...f} type="number" required min={1} max={1000000} value={quantity} onInput={(e) => setQuantity(e.currentTarget.value)} />}
        </Field>
        <Field label="Reason" hint="It stays with each unit." error={wrongWith(save.error, "body.reason")}>
          {(f) => <input {...f} required maxLength={200} value={reason} onInput={(e) => setReason(e.currentTarget.value)} />}
        </Field>
        <div class="actions"><Button type="submit" busy={save.busy}>Withdraw …</Button></div>
        <Problem error={save.error} />
      </form>
    </Panel>
  );
}

function Release({ sku, most, moved }: { sku: string; most: number; moved: () => void }) {
  const [quantity, setQuantity] = useState(String(most));
  const save = useAction(async (key, n: number) => {
    const made = await releaseQuarantine(client.value, sku, { quantity: n }, { key });
    moved();
    return `Let ${units(made.quantity)} of ${sku} out of quarantine. They can be claimed.`;
  });
  const submit = async (e: Event) => {
    e.preventDefault();
    const n = Number(quantity);
    if (await sure({ title: `Let ${units(n)} out of quarantine?`, yes: "Let them out", happens: [`${units(n)} of ${sku} can be claimed at once, those first that have been there longest.`] })) {
      void save.run(n);
    }
  };
  return (
    <Panel title="Let out of quarantine">
      <form class="fields one" onSubmit={submit}>
        <Field label="Quantity" hint={`${units(most)} ${most === 1 ? "is" : "are"} there.`} error={wrongWith(save.error, "body.quantity")}>
          {(f) => <input {...f} type="number" required min={1} max={most} value={quantity} onInput={(e) => setQuantity(e.currentTarget.value)} />}
        </Field>
        <div class="actions"><Button type="submit" busy={save.busy}>Let out …</Button></div>
        <Problem error={save.error} />
      </form>
    </Panel>
  );
}
