import { fork } from 'node:child_process';
import { join } from 'node:path';
import type { ClientOrder, ClientReply } from '../observer/client-process.ts';
import type { Expectation } from '../observer/journals.ts';

/** The client process; every call is an order to it, and its journal has the details. */
export interface Client {
  /** Repeats until answered; the job's id, or null. */
  submit(order: {
    run: string;
    key: string;
    request: Record<string, unknown>;
    expect: Expectation;
    patienceMs?: number;
  }): Promise<string | null>;
  follow(order: {
    run: string;
    jobId: string;
    cutEvery: number | null;
    seed: number;
    patienceMs?: number;
  }): Promise<string | null>;
  /** Sends lines as a batch and notes its results; how it ended, or null. */
  batch(order: {
    run: string;
    endpoint: string;
    lines: readonly { key: string; line: string; expect: Expectation }[];
    patienceMs?: number;
  }): Promise<string | null>;
  look(run: string, jobId: string): Promise<string | null>;
  cancel(run: string, jobId: string): Promise<string | null>;
  probe(run: string, jobId: string): Promise<string | null>;
  stop(): void;
}

const entry = join(import.meta.dirname, '../observer/client-process.ts');
const DEFAULT_PATIENCE_MS = 90_000;

type Unnumbered = ClientOrder extends infer Order
  ? Order extends unknown
    ? Omit<Order, 'order'>
    : never
  : never;

export async function startClient(settings: {
  journal: string;
  apiUrl: string;
  apiKey: string;
  otherKey: string;
}): Promise<Client> {
  const { journal, apiUrl, apiKey, otherKey } = settings;
  const child = fork(entry, [journal, apiUrl, apiKey, otherKey], { execArgv: [] });
  const waiting = new Map<number, PromiseWithResolvers<string | null>>();
  let orders = 0;
  child.on('message', (reply: ClientReply) => {
    waiting.get(reply.order)?.resolve(reply.result);
    waiting.delete(reply.order);
  });
  child.on('exit', (code) => {
    for (const each of waiting.values()) each.reject(new Error(`the client process ended with ${code}`));
  });
  const order = (what: Unnumbered): Promise<string | null> => {
    const answer = Promise.withResolvers<string | null>();
    orders += 1;
    waiting.set(orders, answer);
    child.send({ ...what, order: orders });
    return answer.promise;
  };
  await new Promise<void>((resolve) => child.once('spawn', () => resolve()));
  return {
    submit: (what) => order({ do: 'submit', patienceMs: DEFAULT_PATIENCE_MS, ...what }),
    follow: (what) => order({ do: 'follow', patienceMs: DEFAULT_PATIENCE_MS, ...what }),
    batch: (what) => order({ do: 'batch', patienceMs: DEFAULT_PATIENCE_MS, ...what }),
    look: (run, jobId) => order({ do: 'look', run, jobId }),
    cancel: (run, jobId) => order({ do: 'cancel', run, jobId }),
    probe: (run, jobId) => order({ do: 'probe', run, jobId }),
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}
