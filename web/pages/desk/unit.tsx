import { getUnit } from "lastunit";
import type { UnitEvent } from "lastunit";
import { useState } from "preact/hooks";
import { useReading } from "./reading";
import { go, to } from "./route";
import { client } from "./session";
import { placeMeans } from "./stock";
import { duration } from "./time";
import { Button, Field, Id, Needs, Read, Time } from "./ui";

/** Asks which unit. */
export function FindUnit({ id = "" }: { id?: string }) {
  const [text, setText] = useState(id);
  const submit = (e: Event) => {
    e.preventDefault();
    if (text.trim()) {
      go(to(["units", text.trim()]));
    }
  };
  return (
    <>
      <div class="head"><div><h1>A unit's life</h1><p class="sub">Where one physical unit is, and everything that has happened to it.</p></div></div>
      <form class="find" role="search" onSubmit={submit}>
        <Field label="Unit id" hint="Orders name their units, and audits those that are wrong.">
          {(f) => <input {...f} class="mono" spellcheck={false} required autofocus={id === ""} placeholder="019b1234-5678-7abc-8def-0123456789ab" value={text} onInput={(e) => setText(e.currentTarget.value)} />}
        </Field>
        <Button type="submit" tone="main">Look up</Button>
      </form>
    </>
  );
}

export function UnitView({ id }: { id: string }) {
  return <><FindUnit id={id} /><Needs scope="stock" what="Reading a unit's life"><Life id={id} /></Needs></>;
}

function Life({ id }: { id: string }) {
  const unit = useReading((signal) => getUnit(client.value, id, { signal, retry: false }), [client.value, id], 5000);
  return (
    <Read from={unit} what="its life">
      {(u) => (
        <section class="panel life-of" aria-label="Its life">
          <p class={`now place ${u.place}`}>
            <strong>{u.place}</strong> <span class="note">{placeMeans[u.place]}</span>
            <span class="of">a unit of <a href={to(["products", u.sku])}>{u.sku}</a>{u.serial && <>, serial <code>{u.serial}</code></>}</span>
          </p>
          <ol class="life">
            {u.life.map((e, i) => (
              <li key={i} class={`event ${e.event}`}>
                <Time at={e.at} />
                <p>{inWords(e)}</p>
                <p class="note">{i > 0 && later(e.at, u.life[i - 1]!.at)}</p>
              </li>
            ))}
          </ol>
        </section>
      )}
    </Read>
  );
}

// How much later; nothing where it was at the same moment.
function later(at: string, before: string): string {
  const ms = Date.parse(at) - Date.parse(before);
  return ms < 1000 ? "" : `${duration(ms)} later`;
}

function inWords(e: UnitEvent) {
  const buyer = <strong>{e.buyer}</strong>;
  const order = e.order_id && <>the order <Id of={e.order_id} href={to(["orders", e.order_id])} /></>;
  switch (e.event) {
    case "received":
      return <>Came in{e.reference && <>, with “{e.reference}”</>}.</>;
    case "held":
      return <>Put into the cart of {buyer}.</>;
    case "ordered":
      return <>Ordered by {buyer}: {order}, not yet paid.</>;
    case "paid":
      return <>Sold to {buyer}: {order} was paid.</>;
    case "released":
      return <>Given back by {buyer}, before it was ordered.</>;
    case "expired":
      return <>Free again: the cart of {buyer} had run out of time.</>;
    case "cancelled":
      return <>Free again: {order} of {buyer} was cancelled.</>;
    case "returned":
      return <>Came back from {buyer}, out of {order}, and on sale again.</>;
    case "quarantined":
      return <>Came back from {buyer}, out of {order}, into quarantine.</>;
    case "written_off":
      return <>Came back from {buyer}, out of {order}, and was written off.</>;
    case "unquarantined":
      return <>Let out of quarantine: on sale again.</>;
    case "withdrawn":
      return <>Taken out for good{e.reference && <>: {e.reference}</>}.</>;
    case "repaired":
      return <>Put right after an audit{e.reference && <>: {e.reference}</>}</>;
    default:
      return <>{e.event}</>;
  }
}
