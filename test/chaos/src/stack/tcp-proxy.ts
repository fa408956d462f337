import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** What the proxy does to connections; null: it only passes on. */
export type ProxyFault =
  | null
  /** Every piece waits so long, in both directions. */
  | { kind: 'latency'; ms: number }
  /** The connection is closed after so many bytes of the answer. */
  | { kind: 'cut'; afterBytes: number }
  /** Nothing arrives any more on these connections, also when the fault is over, and nobody is told: a state lost on the way. */
  | { kind: 'blackhole' }
  /** Connections are reset at once. */
  | { kind: 'reset' };

/** A TCP proxy that can misbehave. */
export interface TcpProxy {
  readonly port: number;
  /** Holds for bytes from now on, also on connections that are open. `share`: of the connections, 0 to 1. */
  fault(fault: ProxyFault, share?: number): void;
  /** How many connections the fault in force has touched. */
  touched(): number;
  stop(): Promise<void>;
}

export async function startTcpProxy(target: { port: number }, random: () => number): Promise<TcpProxy> {
  let fault: ProxyFault = null;
  let share = 1;
  let touched = 0;
  const open = new Map<Socket, { hit: boolean; dead: boolean }>();

  const draw = (): boolean => {
    const hit = fault !== null && random() < share;
    if (hit) touched += 1;
    return hit;
  };

  const server = createServer((near) => {
    const state = { hit: draw(), dead: false };
    open.set(near, state);
    if (state.hit && fault?.kind === 'reset') {
      near.resetAndDestroy();
      open.delete(near);
      return;
    }
    const far = connect(target.port, '127.0.0.1');
    let answered = 0;
    const pass = (from: Socket, to: Socket, isAnswer: boolean) => async (piece: Buffer) => {
      from.pause();
      if (state.hit && fault?.kind === 'latency') await pause(fault.ms);
      if (state.hit && fault?.kind === 'reset') near.resetAndDestroy();
      if (isAnswer) answered += piece.length;
      if (state.hit && fault?.kind === 'cut' && answered > fault.afterBytes) {
        near.resetAndDestroy();
        far.destroy();
        return;
      }
      if (state.hit && fault?.kind === 'blackhole') state.dead = true;
      // What falls into the hole stays there; the connection itself looks well.
      if (!state.dead) to.write(piece);
      from.resume();
    };
    near.on('data', (piece: Buffer) => void pass(near, far, false)(piece));
    far.on('data', (piece: Buffer) => void pass(far, near, true)(piece));
    const end = (): void => {
      open.delete(near);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      socket.on('error', end);
      socket.on('close', end);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    fault(next, ofConnections = 1) {
      fault = next;
      share = ofConnections;
      touched = 0;
      for (const [near, state] of open) {
        // A share of few connections may be none: one at least is hit.
        state.hit = draw() || (fault !== null && touched === 0);
        if (state.hit && touched === 0) touched = 1;
        if (state.hit && fault?.kind === 'reset') near.resetAndDestroy();
      }
    },
    touched: () => touched,
    async stop() {
      for (const near of open.keys()) near.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
