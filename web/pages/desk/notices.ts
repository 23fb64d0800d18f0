// What was done, said where everybody sees and hears it; and the one question before what can't be undone.
import { signal } from "@preact/signals";

export interface Notice {
  id: number;
  at: number;
  text: string;
}

export const notices = signal<Notice[]>([]);
let last = 0;

/** Says what was done, for 12 s. */
export function say(text: string): void {
  const notice = { id: ++last, at: Date.now(), text };
  notices.value = [...notices.value.slice(-2), notice];
  setTimeout(() => hush(notice), 12_000);
}

export function hush(notice: Notice): void {
  notices.value = notices.value.filter((n) => n !== notice);
}

export interface Question {
  title: string;
  /** What will happen, a sentence each. */
  happens: string[];
  /** What the button that does it says. */
  yes: string;
  grave?: boolean;
}

export const question = signal<(Question & { answer: (yes: boolean) => void }) | null>(null);

/** Asks once. Resolves to whether it is to be done. */
export function sure(q: Question): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = {
      ...q,
      answer: (yes) => {
        question.value = null;
        resolve(yes);
      },
    };
  });
}
