import { randomUUID } from 'node:crypto';
import { appendFileSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What the chaos programme wants: `orders.json` in its directory, replaced as a whole whenever it changes. */
export interface FaultOrders {
  readonly crash: CrashOrder | null;
  /** Names of planted defects that are in force. */
  readonly defects: readonly string[];
}

/** SIGSTOP: it stands still until somebody lets it go on. BLOCK: its event loop does nothing for 20 s. */
export type CrashSignal = 'SIGKILL' | 'SIGSTOP' | 'BLOCK';

export interface CrashOrder {
  readonly id: string;
  readonly point: string;
  /** At the n-th passing that matches, counted from 1 over all processes. */
  readonly passing: number;
  /** Only passings that are about this (a job's id or its idempotency key); null: any. */
  readonly about: string | null;
  /** What befalls the process. Default: SIGKILL. */
  readonly signal?: CrashSignal;
}

/** A line of `landed.jsonl`. */
export interface LandedCrash {
  readonly id: string;
  readonly point: string;
  readonly pid: number;
  readonly about: readonly string[];
  /** RFC 3339. */
  readonly at: string;
}

export interface ArmedFaults {
  readonly crashPoint: (name: string, about?: string | readonly (string | null)[]) => void;
  readonly hasDefect: (name: string) => boolean;
}

const NO_ORDERS: FaultOrders = { crash: null, defects: [] };

/**
 * Follows the orders in a directory; without a directory it does nothing. Everything is read and written synchronously: an
 * order holds from the moment its file is there, and what is written is there although the process dies in the next line.
 * A point that gives several names of one thing makes them known to all processes (`aliases.jsonl`), so that an order
 * for an idempotency key finds the job that it became.
 */
export function createArmedFaults(
  directory: string | null,
  kill: (signal: CrashSignal) => void,
): ArmedFaults {
  if (directory === null) return { crashPoint: () => undefined, hasDefect: () => false };
  const ordersFile = join(directory, 'orders.json');
  const aliasesFile = join(directory, 'aliases.jsonl');
  const passingsFile = join(directory, 'passings');
  let stamp = '';
  let orders = NO_ORDERS;

  function readOrders(): FaultOrders {
    const found = statSync(ordersFile, { bigint: true, throwIfNoEntry: false });
    const next = found ? `${found.ino} ${found.mtimeNs}` : '';
    if (next === stamp) return orders;
    orders = found ? (JSON.parse(readFileSync(ordersFile, 'utf8')) as FaultOrders) : NO_ORDERS;
    stamp = next;
    return orders;
  }

  /** All names of what is at work: those given here, and those that any process has given together with one of them. */
  function allNames(names: readonly string[]): readonly string[] {
    const lines = readLines(aliasesFile).map((line) => JSON.parse(line) as string[]);
    return [
      ...new Set([...names, ...lines.filter((line) => line.some((each) => names.includes(each))).flat()]),
    ];
  }

  /** Processes that pass at the same moment get different numbers: each finds its own line in the file all append to. */
  function countPassing(orderId: string): number {
    const line = `${orderId} ${randomUUID()}`;
    appendFileSync(passingsFile, `${line}\n`);
    return (
      readLines(passingsFile)
        .filter((each) => each.startsWith(`${orderId} `))
        .indexOf(line) + 1
    );
  }

  return {
    crashPoint(name, about = []) {
      const { crash } = readOrders();
      const names = (typeof about === 'string' ? [about] : about).filter((each) => each !== null);
      // Only while a crash is ordered, so that a long run does not read an ever longer file.
      if (crash !== null && names.length > 1) appendFileSync(aliasesFile, `${JSON.stringify(names)}\n`);
      if (crash?.point !== name) return;
      if (crash.about !== null && !allNames(names).includes(crash.about)) return;
      if (countPassing(crash.id) !== crash.passing) return;
      const landed: LandedCrash = {
        id: crash.id,
        point: name,
        pid: process.pid,
        about: names,
        at: new Date().toISOString(),
      };
      appendFileSync(join(directory, 'landed.jsonl'), `${JSON.stringify(landed)}\n`);
      kill(crash.signal ?? 'SIGKILL');
    },
    hasDefect: (name) => readOrders().defects.includes(name),
  };
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}
