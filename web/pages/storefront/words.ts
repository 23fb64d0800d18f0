// What the service says, in plain words, with what to do next.
import { ConnectionError, isProblem } from "lastunit";
import type { Problem, ProblemCode, Product } from "lastunit";
import { count } from "../shared/money";
import { at } from "../shared/time";
import { now } from "./shop";

export type Tone = "good" | "low" | "wait" | "gone" | "soon" | "paused";

/** What can be had of a product. mine is how many of it are in the buyer's own cart. */
export function stockWords(p: Product, mine = 0): { tone: Tone; text: string } {
  const { status, available, capped, next_release_at: next } = p.availability;
  switch (status) {
    case "available":
      if (capped) return { tone: "good", text: `More than ${count(available)} left` };
      if (available === 1) return { tone: "low", text: "Only 1 left" };
      return available <= 5 ? { tone: "low", text: `Only ${available} left` } : { tone: "good", text: `${count(available)} left` };
    case "all_held": {
      const where = mine > 0 ? `All in carts, ${mine} of them in yours` : "All in other carts";
      return { tone: "wait", text: next ? `${where}, next may return at ${at(next, now.peek())}` : `${where}, some may come back` };
    }
    case "sold_out":
      return { tone: "gone", text: "Sold out" };
    case "not_open":
      return { tone: "soon", text: p.sale ? `Opens at ${at(p.sale.opens_at, now.peek())}` : "Not open yet" };
    case "paused":
      return { tone: "paused", text: "Sale paused" };
    case "ended":
      return { tone: "gone", text: "Sale ended" };
    default:
      return { tone: "gone", text: "Not on sale" };
  }
}

/** What happened, and what to do next. again: asking once more, unchanged, makes sense; href and label lead to where it goes on. */
export interface Advice {
  title: string;
  text: string;
  again?: boolean;
  href?: string;
  label?: string;
}

type Known<C extends ProblemCode> = Partial<Problem<C>>;
type Words = { [C in ProblemCode]: (problem: Known<C>) => Advice };

const broken: Advice = { title: "That went wrong on our side", text: "Nothing was bought or charged by it. Try again; if it stays, tell the shop.", again: true };
const ours = () => broken;

const words: Words = {
  "sold-out": () => ({ title: "Sold out", text: "Every one of them has been sold. None will come back by itself.", href: "/", label: "See what else there is" }),
  "all-held": ({ next_release_at: next }) => ({
    title: "All in other people's carts",
    text: next ? `The next may return at ${at(next, now.peek())}. Try again then: whoever asks first gets it.` : "Some may come back when a cart runs out. Try again in a moment.",
    again: true,
  }),
  "not-enough-units": ({ available }) => ({
    title: available === undefined ? "Not that many left" : `Only ${count(available)} left`,
    text: "There are fewer than you asked for. Choose a smaller number and add it again.",
  }),
  "purchase-limit": ({ limit, remaining, order_ids: orders }) => ({
    title: limit === undefined ? "You have as many as one person may" : `${count(limit)} for each person in this sale`,
    text: remaining
      ? `You may have ${count(remaining)} more. Choose a smaller number.`
      : orders?.length
        ? "An order of yours that is not paid yet counts too. Pay for it, or cancel it to make room."
        : "You already have that many, in your cart or ordered.",
    ...(remaining ? {} : orders?.[0] ? { href: `/orders/${orders[0]}`, label: "Open that order" } : { href: "/cart", label: "View your cart" }),
  }),
  "sale-not-open": ({ opens_at: opens }) => ({ title: "Not open yet", text: opens ? `The sale opens at ${at(opens, now.peek())}. Stay here: the button will be ready in that second.` : "The sale has not opened yet. Stay here." }),
  "sale-paused": () => ({ title: "The sale is paused", text: "The shop has stopped it for a moment. What is in your cart stays yours until its time; this page goes on by itself.", again: true }),
  "sale-ended": () => ({ title: "The sale is over", text: "What is in your cart can still be ordered.", href: "/cart", label: "View your cart" }),
  "not-selling": () => ({ title: "Not on sale at the moment", text: "The shop has taken it off sale. It may come back.", href: "/", label: "See what else there is" }),
  "cool-down": () => ({ title: "A short break", text: "One of your carts ran out a moment ago, so others get a turn first. Wait a little and try again.", again: true }),
  "hold-expired": () => ({ title: "Time ran out for part of your cart", text: "What ran out went back to stock, and nothing was ordered. Add it again if there are any left, or order the rest." }),
  "cart-empty": () => ({ title: "There is nothing to order", text: "Your cart is empty, or its time has run out.", href: "/", label: "Look around" }),
  "conflict": () => ({ title: "That has changed meanwhile", text: "It was ordered, paid or cancelled in the meantime. This page now shows how it is." }),
  "payment-failed": () => ({ title: "The payment did not go through", text: "No money was taken, and what you ordered is still yours. Try again or take another card." }),
  "not-found": () => ({ title: "There is no such thing here", text: "It may belong to somebody else, or be gone.", href: "/", label: "Look around" }),
  "unauthenticated": () => ({ title: "The shop has to say who you are", text: "Go back to the shop that sent you, and come here from there: then you can buy." }),
  "forbidden": () => ({ title: "That is not for this account", text: "Go back to the shop that sent you, and come here from there." }),
  "too-many-requests": () => ({ title: "A little slower, please", text: "That was asked too often. Wait a few seconds and try again.", again: true }),
  "busy": () => ({ title: "Very busy", text: "So many are here that your request was not taken. Nothing happened. Try again in a moment.", again: true }),
  "outcome-unknown": () => ({ title: "No certain answer", text: "The connection broke while it was being done. Ask again: nothing is bought twice.", again: true }),
  "idempotency-key-reused": ours,
  "internal": ours,
  "method-not-allowed": ours,
  "payload-too-large": ours,
  "request-timeout": () => ({ title: "Too slow", text: "What was sent did not arrive in time. Nothing happened. Try again.", again: true }),
  "unsupported-media-type": ours,
  "validation": () => ({ title: "That can't be done like this", text: "The number asked for is more than may be had at once. Choose a smaller one." }),
  "sale-overlaps": ours,
} as Words;

/** What is the matter, in words: of a problem that was thrown, of the code that a refused transaction gives as its reason, or of no answer. */
export function advice(error: unknown): Advice {
  if (typeof error === "string") {
    return (words[error as ProblemCode] as ((problem: object) => Advice) | undefined)?.({}) ?? wordsOf(error);
  }
  if (isProblem(error)) {
    const say = words[error.code] as ((problem: Problem) => Advice) | undefined; // a newer service may know more codes
    return say ? say(error) : { title: error.title, text: error.detail };
  }
  if (error instanceof ConnectionError) {
    return { title: "No answer yet", text: "The connection is broken or very slow. Ask again: nothing is bought twice.", again: true };
  }
  return broken;
}

function wordsOf(code: string): Advice {
  return { title: "That did not work", text: `The shop says: ${code}. Try again in a moment.`, again: true };
}
