// The parts that views are made of.
import type { ComponentChildren, ComponentProps } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { ConnectionError, isProblem } from "lastunit";
import type { Money, Sale, ValidationError } from "lastunit";
import { hush, notices, question } from "./notices";
import { heard, silent } from "./reading";
import type { Reading } from "./reading";
import { shortId } from "./format";
import { may } from "./session";
import type { Scope } from "./session";
import { clock, duration, fully, tick, when } from "./time";

interface ButtonProps extends Omit<ComponentProps<"button">, "class" | "type" | "disabled" | "children"> {
  children: ComponentChildren;
  class?: string;
  tone?: "" | "main" | "danger" | "plain";
  busy?: boolean;
  disabled?: boolean;
  type?: "button" | "submit";
}

/** A button keeps the focus while what it does is being done. */
export function Button({ tone = "", busy = false, type = "button", class: more = "", ...rest }: ButtonProps) {
  return <button type={type} class={`button ${tone} ${more}`} aria-busy={busy} {...rest} />;
}

/** A part of a view, with its heading and what can be done with it. */
export function Panel({ title, tools, children, class: more }: { title: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren; class?: string }) {
  const id = useId();
  return (
    <section class={`panel ${more ?? ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {tools && <div class="tools">{tools}</div>}
      </header>
      {children}
    </section>
  );
}

export function Status({ of }: { of: Sale["status"] | string }) {
  const words: Record<string, string> = { awaiting_payment: "awaiting payment" };
  return <span class={`status is-${of}`}>{words[of] ?? of}</span>;
}

/** An instant as one reads it, with all of it on demand. */
export function Time({ at, exact = false }: { at: string | number; exact?: boolean }) {
  return <time dateTime={new Date(at).toISOString()} title={fully(at)}>{exact ? clock(at) : when(at, tick.value)}</time>;
}

export function Id({ of, href }: { of: string; href?: string | undefined }) {
  const text = <span title={of}>{shortId(of)}</span>;
  return href ? <a class="id" href={href}>{text}</a> : <span class="id">{text}</span>;
}

/** A part that needs a scope; without it, what is missing and where to get it. */
export function Needs({ scope, what, children }: { scope: Scope; what: string; children: ComponentChildren }) {
  return may(scope) ? <>{children}</> : <Missing scope={scope} what={what} />;
}

export function Missing({ scope, what }: { scope: string; what: string }) {
  return (
    <div class="missing" data-scope={scope}>
      <p>{what} needs a key with the scope <code>{scope}</code>, which yours does not have. Make one, beside those that you need otherwise:</p>
      <pre>{`lastunit key create --name desk \\\n  --scope ${scope}`}</pre>
    </div>
  );
}

/** Why something was refused or not answered, and what to do next. */
export function Problem({ error, again }: { error: unknown; again?: (() => void) | undefined }) {
  if (error === undefined || error === null) {
    return null;
  }
  const errors = isProblem(error, "validation", "not-found") ? ((error as { errors?: ValidationError[] }).errors ?? []) : [];
  return (
    <div class="problem" role="alert">
      <p><strong>{headline(error)}</strong> {detail(error)}</p>
      {errors.length > 0 && <ul>{errors.map((e) => <li key={`${e.location} ${e.message}`}><code>{fieldName(e.location)}</code> {e.message}</li>)}</ul>}
      {again && <Button onClick={again}>Try again</Button>}
    </div>
  );
}

const fieldName = (location: string) => location.replace(/^(body|path|query|header)\./, "").replace(/^lines\[(\d+)\]\.?/, "line $1 ").trim();

function headline(error: unknown): string {
  if (isProblem(error)) {
    return /[.?!]$/.test(error.title) ? error.title : `${error.title}.`;
  }
  return error instanceof ConnectionError ? "No answer." : "Something broke in this page.";
}

function detail(error: unknown): string {
  if (isProblem(error)) {
    return error.detail;
  }
  if (error instanceof ConnectionError) {
    return `${error.message} The service, or the way to it, is down. Asking again is safe: nothing is done twice.`;
  }
  return `${String(error)} Load it anew.`;
}

/** That what is shown is of an earlier time, and how old it is. */
export function Stale({ of }: { of: Reading<unknown> }) {
  if (of.error === undefined || of.value === undefined || of.at === undefined) {
    return null;
  }
  return (
    <p class="stale">
      <strong>Stale</strong> as it was {clock(of.at)}, {duration(tick.value - of.at)} ago{isProblem(of.error) && of.error.status !== 503 && <>: {of.error.detail}</>}
    </p>
  );
}

/** That nothing is answered any more. */
export function Silence() {
  const since = heard.value;
  if (!silent.value || since === null) {
    return null;
  }
  return (
    <p class="silence" role="status">
      <strong>No answer from the service{navigator.onLine ? "" : ": this machine is offline"}.</strong> What you see is as it was at {clock(since)}, {duration(tick.value - since)} ago; it is asked again by itself. What you do now may have to wait.
    </p>
  );
}

/** What was read, or that it is being read, or why it was not. */
export function Read<T>({ from, what, children }: { from: Reading<T>; what: string; children: (value: T) => ComponentChildren }) {
  if (from.value !== undefined) {
    return <><Stale of={from} />{children(from.value)}</>;
  }
  if (from.error !== undefined) {
    return <Problem error={from.error} again={() => void from.reload()} />;
  }
  return <p class="reading" role="status">Reading {what} …</p>;
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
  children: (field: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ComponentChildren;
  class?: string;
}

/** A field of a form with its label, what it means, and what is wrong with it. */
export function Field({ label, hint, error, children, class: more }: FieldProps) {
  const id = useId();
  return (
    <div class={`field ${error ? "wrong" : ""} ${more ?? ""}`}>
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-says`, "aria-invalid": Boolean(error) })}
      <p id={`${id}-says`} class="says">{error ? <strong>{error}</strong> : hint}</p>
    </div>
  );
}

/** What the service says is wrong with a field of what was sent. */
export function wrongWith(error: unknown, location: string): string | undefined {
  const errors = isProblem(error) ? ((error as { errors?: ValidationError[] }).errors ?? []) : [];
  const said = errors.filter((e) => e.location === location).map((e) => e.message).join("; ");
  return said ? `${said[0]!.toUpperCase()}${said.slice(1)}.` : undefined;
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return <dl class="facts">{of.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

export function currencyOf(price: Money | null | undefined): string {
  return price?.currency ?? "EUR";
}

/** What was done, lately. */
export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((n) => (
        <p key={n.id}>
          <Time at={n.at} exact /> <span>{n.text}</span>
          <button type="button" class="hush" aria-label="Dismiss" onClick={() => hush(n)}>×</button>
        </p>
      ))}
    </div>
  );
}

/** The one question before what can't be undone. */
export function Asked() {
  const q = question.value;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (q && !dialog.current?.open) {
      dialog.current?.showModal();
    }
  }, [q]);
  if (!q) {
    return null;
  }
  const answer = (yes: boolean) => {
    dialog.current?.close(); // the focus goes back to where it was
    q.answer(yes);
  };
  return (
    <dialog ref={dialog} class="question" aria-labelledby={id} onCancel={() => answer(false)}>
      <h2 id={id}>{q.title}</h2>
      <ul>{q.happens.map((line) => <li key={line}>{line}</li>)}</ul>
      <div class="actions">
        <Button onClick={() => answer(false)} autofocus>Leave it</Button>
        <Button tone={q.grave ? "danger" : "main"} onClick={() => answer(true)}>{q.yes}</Button>
      </div>
    </dialog>
  );
}
