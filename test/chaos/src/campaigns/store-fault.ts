import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { freeze } from '@millrace/infra';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';

/** Something that can befall a store. */
export interface StoreFault {
  /** `redis.kill` and the like; the row of the table. */
  kind: string;
  target: 'redis' | 'postgres';
  /** About how long the store is away; the load is spread over it. */
  lastsMs: number;
  /** Does it, and resolves when the store is there again; whether it happened. */
  inject: (stack: ChaosStack) => Promise<boolean>;
}

type Store = StoreFault['target'];

/** Sends the server a signal; the stack starts it again, and this waits for that. */
export function signalled(target: Store, name: string, signal: NodeJS.Signals): StoreFault {
  return {
    kind: `${target}.${name}`,
    target,
    lastsMs: 3_000,
    inject: async (stack) => {
      const pid = stack.serverPids()[target];
      if (pid === null) return false;
      process.kill(pid, signal);
      await until(() => stack.serverPids()[target] !== pid, 30_000);
      await reachable(portOf(stack, target));
      return true;
    },
  };
}

/** The server hangs, as on a machine without memory: connections stay, and nothing answers. */
export function frozen(target: Store, forMs: number): StoreFault {
  return {
    kind: `${target}.stop-${forMs / 1_000}s`,
    target,
    lastsMs: forMs,
    inject: async (stack) => {
      const pid = stack.serverPids()[target];
      if (pid === null) return false;
      const thaw = freeze(pid);
      await pause(forMs);
      thaw();
      return true;
    },
  };
}

/** Every process of the product starts while the server hangs. */
export function downAtStart(target: Store): StoreFault {
  return {
    kind: `${target}.down-at-start`,
    target,
    lastsMs: 12_000,
    inject: async (stack) => {
      const pid = stack.serverPids()[target];
      if (pid === null) return false;
      const thaw = freeze(pid);
      const killed = stack.processes.map((each) => each.signal('SIGKILL'));
      await pause(12_000);
      thaw();
      return killed.every(Boolean);
    },
  };
}

function portOf(stack: ChaosStack, target: Store): number {
  return Number(new URL(target === 'redis' ? stack.redisUrl : stack.databaseUrl).port);
}

async function until(isTrue: () => boolean, timeoutMs: number): Promise<void> {
  const deadlineAt = performance.now() + timeoutMs;
  while (!isTrue() && performance.now() < deadlineAt) await pause(20);
}

/** Resolves when something listens on the port. */
async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
    await pause(20);
  }
}
