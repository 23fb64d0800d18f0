// Stock, in words and by place.
import type { Availability, Stock as Counts } from "lastunit";
import { count } from "./format";
import { Time } from "./ui";

const words: Record<Availability["status"], string> = {
  available: "", all_held: "all held", sold_out: "sold out", not_open: "not open yet", paused: "paused", ended: "ended", not_selling: "off sale",
};

/** What buyers are told of a product. */
export function Stock({ of }: { of: Availability }) {
  const n = <span class="number">{of.capped && "over "}{count(of.available)}</span>;
  if (of.status === "available") {
    return <span class="stock">{n} available</span>;
  }
  return (
    <span class={`stock is-${of.status}`}>
      {words[of.status]}{of.available > 0 && <>, {n} in stock</>}{of.status === "all_held" && of.next_release_at && <>, next at <Time at={of.next_release_at} exact /></>}
    </span>
  );
}

export const places = ["available", "held", "ordered", "sold", "quarantine", "withdrawn"] as const;

export const placeMeans: Record<(typeof places)[number], string> = {
  available: "can be claimed",
  held: "in carts",
  ordered: "in orders not yet paid",
  sold: "paid for",
  quarantine: "came back, to be looked at",
  withdrawn: "taken out for good",
};

/** A bar of where a product's units are, with the numbers. */
export function ByPlace({ stock }: { stock: Counts }) {
  return (
    <div class="by-place">
      <div class="places" aria-hidden="true">
        {places.map((place) => stock[place] > 0 && <span key={place} class={`place ${place}`} style={{ flexGrow: String(stock[place]) }} />)}
      </div>
      <dl>
        {places.map((place) => (
          <div key={place} class={`place ${place}`}>
            <dt>{place}</dt>
            <dd><span class="number">{count(stock[place])}</span> <span class="note">{placeMeans[place]}</span></dd>
          </div>
        ))}
        <div class="sum"><dt>received</dt><dd><span class="number">{count(stock.received)}</span> <span class="note">in all</span></dd></div>
      </dl>
    </div>
  );
}
