import { part } from "./call.js";
import type { Client } from "./call.js";
import { getTransaction } from "./generated/operations.js";
import type { GetTransactionCode } from "./generated/operations.js";
import type { Transaction } from "./generated/types.js";
import type { Call } from "./problem.js";
import { follow } from "./stream.js";

export interface WatchTransactionOptions {
  /** Is told the transaction at once, and each time that something about it has changed, such as its position in the queue. */
  onChange?: (transaction: Transaction) => void;
  /** Ends watching: it then throws the signal's reason. The request stays queued; `release` cancels it. */
  signal?: AbortSignal;
  /** As in `ClientOptions`. */
  buyer?: string;
}

const waitSeconds = 20;

/**
 * Watches a transaction until it is no longer queued, and resolves to it as it then is: held, refused (`reason` is the code) or released.
 * It reads the stream of its events, and asks with `wait` where streams do not get through. It goes on through lost connections and
 * restarts of the service for as long as it takes: give it a signal if that may be too long.
 */
export function watchTransaction(client: Client, id: string, options: WatchTransactionOptions = {}): Call<Transaction, GetTransactionCode> {
  return watch(client, id, options);
}

async function watch(client: Client, id: string, { onChange, signal = new AbortController().signal, buyer }: WatchTransactionOptions): Promise<Transaction> {
  let known = "";
  let transaction: Transaction | undefined;
  const take = (text: string) => {
    if (text !== known) {
      known = text;
      transaction = JSON.parse(text) as Transaction;
      onChange?.(transaction);
    }
    return transaction?.status !== "queued";
  };
  await follow(client, {
    path: `/api/v1/transaction/${part(id)}/events`,
    request: {},
    buyer,
    take: (event) => event.name === "transaction" && take(event.data),
    otherwise: async () => take(JSON.stringify(await getTransaction(client, id, { wait: waitSeconds }, { signal, ...(buyer && { buyer }) }))),
  }, signal);
  return transaction as unknown as Transaction;
}
