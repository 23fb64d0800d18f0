// The audit: whether every unit is where the books say, as a plain line, and the button that runs it.
import { getAudit, isProblem, runAudit } from "lastunit";
import type { Audit, Check } from "lastunit";
import { signal } from "@preact/signals";
import { plural } from "./format";
import { useAction, useReading } from "./reading";
import { client } from "./session";
import { Button, Needs, Panel, Problem, Stale, Time } from "./ui";

const means: Record<string, string> = {
  one_place: "each unit is in exactly one place",
  conservation: "received = available + held + ordered + sold + quarantine + withdrawn",
  transaction_units: "every transaction has as many units as it says",
  key_once: "no idempotency key has bought twice",
  hold_expiry: "no hold was ordered after its time",
  queue_order: "nobody was passed in the queue",
  purchase_limit: "nobody has more than the limit",
  order_state: "orders and their lines fit",
  money: "what was paid and given back adds up",
  pools: "allotments lie where they belong",
};

// What this page has run itself, by product; the service remembers only the last of all.
const ran = signal<Record<string, Audit>>({});

function useAudit(skus: string[] | null) {
  const last = useReading(async (signal) => {
    try {
      return await getAudit(client.value, { signal, retry: false });
    } catch (error) {
      if (isProblem(error, "not-found")) {
        return null;
      }
      throw error;
    }
  }, [client.value], 15_000);
  const run = useAction(async (key) => {
    const found: Audit[] = [];
    for (const sku of skus ?? [undefined]) {
      const audit = await runAudit(client.value, sku === undefined ? {} : { sku }, { key: `${key}-${sku ?? ""}`, timeoutMs: 120_000, attemptTimeoutMs: 60_000 });
      found.push(audit);
      ran.value = { ...ran.value, [sku ?? ""]: audit };
    }
    await last.reload();
    const broken = found.flatMap((a) => a.checks).filter((c) => !c.ok).length;
    const of = skus === null ? "all products" : skus.join(", ");
    return broken === 0 ? `Audited ${of}: everything adds up.` : `Audited ${of}: ${plural(broken, "check")} found something wrong.`;
  });
  return { last, run };
}

/** Of the products that are named, or of all: what the last audit says, when it says something about them. */
export function AuditPanel({ skus, title }: { skus: string[] | null; title: string }) {
  return (
    <Panel title={title} class="audit">
      <Needs scope="audit" what="The audit"><AuditLine skus={skus} /></Needs>
    </Panel>
  );
}

function AuditLine({ skus }: { skus: string[] | null }) {
  const { last, run } = useAudit(skus);
  const audits = last.value === undefined ? [] : relevant(skus, last.value);
  const covered = skus === null ? audits.length > 0 : skus.every((sku) => audits.some((a) => a.sku === null || a.sku === sku));
  return (
    <>
      {last.value === undefined && last.error !== undefined ? <Problem error={last.error} again={() => void last.reload()} /> : <Stale of={last} />}
      {covered ? <Verdict audits={audits} skus={skus} /> : <Unknown last={last.value} skus={skus} />}
      <div class="actions">
        <Button busy={run.busy} onClick={() => void run.run()}>{run.busy ? "Checking …" : skus === null ? "Audit everything now" : skus.length === 1 ? "Audit its product now" : "Audit its products now"}</Button>
      </div>
      <Problem error={run.error} />
    </>
  );
}

// The latest of all; of products the latest of each.
function relevant(skus: string[] | null, last: Audit | null): Audit[] {
  const known = [...Object.values(ran.value), ...(last ? [last] : [])].sort((a, b) => Date.parse(b.finished_at) - Date.parse(a.finished_at));
  if (skus === null) {
    return known.slice(0, 1);
  }
  const found = skus.flatMap((sku) => known.find((a) => a.sku === null || a.sku === sku) ?? []);
  return [...new Map(found.map((a) => [a.id, a])).values()];
}

function Verdict({ audits, skus }: { audits: Audit[]; skus: string[] | null }) {
  const broken = audits.flatMap((a) => a.checks.filter((c) => !c.ok && (skus === null || c.violations.some((v) => skus.includes(v.sku)))));
  const ok = broken.length === 0;
  const oldest = audits.map((a) => a.finished_at).sort()[0]!;
  const of = audits.some((a) => a.sku === null) ? "all products" : audits.map((a) => a.sku).join(", ");
  const checks = audits[0]!.checks.map((c) => c.name);
  return (
    <>
      <p class={`verdict ${ok ? "good" : "bad"}`} role="status">
        <strong>{ok ? "Adds up." : `${plural(broken.length, "check")} found something wrong.`}</strong>{" "}
        {ok ? `All ${checks.length} checks of ${of} hold` : `${checks.length} checks of ${of}`}, <Time at={oldest} />.
      </p>
      {broken.map((check, i) => <Broken key={i} check={check} />)}
      <details>
        <summary>What was checked</summary>
        <ul class="checks">{checks.map((name) => <li key={name}>{means[name] ?? name}</li>)}</ul>
      </details>
    </>
  );
}

function Broken({ check }: { check: Check }) {
  return (
    <div class="broken">
      <h3>Does not hold: {means[check.name] ?? check.name}</h3>
      <ul>
        {check.violations.slice(0, 10).map((v, i) => (
          <li key={i}>
            {v.unit_id && <>Unit <a href={`#/units/${v.unit_id}`}><code>{v.unit_id}</code></a> </>}
            {v.transaction_id && <>Transaction <code>{v.transaction_id}</code> </>}
            of {v.sku}: {v.detail}
          </li>
        ))}
      </ul>
      {check.violations.length > 10 && <p>and {check.violations.length - 10} more: see <code>lastunit audit</code></p>}
    </div>
  );
}

function Unknown({ last, skus }: { last: Audit | null | undefined; skus: string[] | null }) {
  if (last === undefined) {
    return <p class="reading">Reading the last audit …</p>;
  }
  return (
    <p class="verdict none">
      <strong>Not known.</strong> {last === null || skus === null ? "No audit has been run yet." : <>The last audit was of {last.sku}, <Time at={last.finished_at} />.</>}
    </p>
  );
}
