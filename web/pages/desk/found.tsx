import type { Found } from "./checks";
import { to } from "./route";

/** What was found in a plan, the grave things first. */
export function Findings({ of }: { of: Found[] }) {
  if (of.length === 0) {
    return <p class="verdict good"><strong>Ready.</strong> There is stock, the times fit, and no other sale is in the way.</p>;
  }
  return (
    <ul class="found">
      {[...of].sort((a, b) => Number(b.wrong) - Number(a.wrong)).map((f, i) => (
        <li key={i} class={f.wrong ? "wrong" : "mind"}>
          <strong>{f.wrong ? "Wrong" : "Mind"}</strong> <span>{f.text} {f.sale && <a href={to(["sales", f.sale.id])}>{f.sale.name}</a>}</span>
        </li>
      ))}
    </ul>
  );
}
