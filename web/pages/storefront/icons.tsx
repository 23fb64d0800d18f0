import type { ComponentChildren } from "preact";
import type { Tone } from "./words";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

export const Check = () => <Icon><path d="m4.5 10.5 3.6 3.7 7.4-8.2" /></Icon>;
export const Clock = () => <Icon><circle cx="10" cy="10" r="7" /><path d="M10 6v4.2l2.6 1.8" /></Icon>;
export const Bag = () => <Icon><path d="M4.5 7h11l.8 9.5H3.7z" /><path d="M7 9V6a3 3 0 0 1 6 0v3" /></Icon>;
export const Alert = () => <Icon><path d="M10 3 2.5 16.5h15z" /><path d="M10 8.5v3.7M10 14.4v.1" /></Icon>;
export const Back = () => <Icon><path d="M12 4.5 6.5 10l5.5 5.5" /></Icon>;
export const Line = () => <Icon><circle cx="4" cy="10" r="1.6" fill="currentColor" /><circle cx="10" cy="10" r="1.6" /><circle cx="16" cy="10" r="1.6" /></Icon>;

const shapes: Record<Tone, ComponentChildren> = {
  good: <circle cx="10" cy="10" r="5" fill="currentColor" stroke="none" />,
  low: <path d="M10 4.5 16 15H4z" fill="currentColor" stroke="none" />,
  wait: <><circle cx="10" cy="10" r="6" /><path d="M10 7v3.2l2 1.3" /></>,
  gone: <path d="m5.5 5.5 9 9m0-9-9 9" />,
  soon: <circle cx="10" cy="10" r="5" />,
  paused: <path d="M7.5 5.5v9m5-9v9" />,
};

/** The shape that goes with a state of stock: the word says it, the shape and the colour repeat it. */
export const ToneIcon = ({ tone }: { tone: Tone }) => <Icon>{shapes[tone]}</Icon>;
