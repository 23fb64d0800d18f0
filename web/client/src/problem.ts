import type { ProblemBase, ProblemKinds } from "./generated/problems.js";

/** What to switch on. A newer service may know more of them: keep a default. */
export type ProblemCode = keyof ProblemKinds;

/** A problem (RFC 9457) as the service sends it: a union over its codes, each with its own members. */
export type Problem<C extends ProblemCode = ProblemCode> = { [K in C]: ProblemBase & { code: K } & ProblemKinds[K] }[C];

/** What every error of a call tells. */
export interface CallFacts {
  /** The Idempotency-Key that was sent. To ask later what became of the call, make it again with this key. */
  readonly key: string | null;
  /** How often it was sent. */
  readonly attempts: number;
}

/** What a refused call throws: the problem, its members included, as an Error. Recognise it with {@link isProblem}. */
export type ProblemError<C extends ProblemCode = ProblemCode> = Error &
  CallFacts &
  Problem<C> & {
    /** After how many seconds to ask again, from Retry-After. */
    readonly retryAfter: number | null;
    /** What the service's log calls the request. */
    readonly requestId: string | null;
  };

class Refused extends Error {
  key: string | null = null;
  attempts = 1;
  constructor(
    problem: Problem,
    readonly retryAfter: number | null,
    readonly requestId: string | null,
  ) {
    super(problem.detail);
    this.name = "ProblemError";
    Object.assign(this, problem);
  }
}

/** @internal */
export function problemError(problem: Problem, retryAfter: number | null, requestId: string | null): ProblemError {
  return new Refused(problem, retryAfter, requestId) as unknown as ProblemError;
}

/**
 * Tells whether an error is the service's refusal, of one of the codes if any are given. Then `error.code` can be switched on, and each
 * case has the members of its code.
 */
export function isProblem<C extends ProblemCode = ProblemCode>(error: unknown, ...codes: C[]): error is ProblemError<C> {
  return error instanceof Refused && (codes.length === 0 || codes.includes((error as unknown as ProblemError<C>).code));
}

/**
 * The service has not answered: it can't be reached, the connection broke, the time was up, or something in between answered instead.
 * Whether the call was done is not known, unless it only reads; made again with the same key, it is done once.
 */
export class ConnectionError extends Error implements CallFacts {
  override readonly name = "ConnectionError";
  key: string | null = null;
  attempts = 1;
  constructor(
    message: string,
    /** The HTTP status of an answer that was not the service's; null when there was none. */
    readonly status: number | null = null,
    /** After how many seconds to ask again, if the answer said so. */
    readonly retryAfter: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What became of a call: its value, or the problem that it was refused with. */
export type Outcome<T, C extends ProblemCode> = { ok: true; value: T } | { ok: false; problem: ProblemError<C> };

/** A promise that also knows, for {@link outcome}, which codes the call may be refused with. */
export interface Call<T, C extends ProblemCode = ProblemCode> extends Promise<T> {
  readonly __codes?: C;
}

/**
 * Turns refusals into values, so that a switch over `problem.code` knows which codes this very call can have. What is no refusal (a lost
 * connection, an abort) is still thrown.
 */
export async function outcome<T, C extends ProblemCode>(call: Call<T, C>): Promise<Outcome<T, C>> {
  try {
    return { ok: true, value: await call };
  } catch (error) {
    if (isProblem<C>(error)) {
      return { ok: false, problem: error };
    }
    throw error;
  }
}
