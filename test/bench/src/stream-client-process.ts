/**
 * The client of the benches of streaming, in a process of its own: reads event streams to their ends. Is told everything by
 * one message, says that each stream has begun, and answers with what it saw.
 */
import { get } from 'node:http';

/** What the client is told. */
export interface StreamOrder {
  urls: readonly string[];
  headers: Record<string, string>;
  /** By which clock tokens say when they were written: see {@link monotonicMs} and {@link wallMs}. */
  clock: 'monotonic' | 'wall';
}

/** How long tokens took, in milliseconds. */
export interface StreamFigures {
  received: number;
  p50: number;
  p99: number;
  most: number;
}

const clocks = {
  /** `<12.345> token`: the machine's own clock, the same in all processes. */
  monotonic: { now: () => Number(process.hrtime.bigint()) / 1e6, token: /<([\d.]+)> token/g },
  /** `1763740000000.123`: as the simulator stamps its tokens. */
  wall: { now: () => performance.timeOrigin + performance.now(), token: /\b(\d{13}\.\d{3})\b/g },
};

process.on('disconnect', () => process.exit());
process.once('message', (order) => readStreams(order as StreamOrder));

function readStreams({ urls, headers, clock }: StreamOrder): void {
  const { now, token } = clocks[clock];
  const latencies: number[] = [];
  let [waiting, open] = [urls.length, urls.length];
  for (const url of urls) {
    get(url, { agent: false, headers }, (response) => {
      let isFirst = true;
      let begun = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        const at = now();
        const blocks = (begun + text).split('\n\n');
        begun = blocks.pop() ?? '';
        for (const block of blocks.filter(holdsLiveText)) {
          for (const [, writtenAt] of block.matchAll(token)) latencies.push(at - Number(writtenAt));
        }
        if (isFirst && --waiting === 0) process.send?.('ready');
        isFirst = false;
      });
      response.on('end', () => {
        if (--open === 0) process.send?.(toFigures(latencies));
      });
    });
  }
}

/** Other events repeat the text when it is whole. */
function holdsLiveText(block: string): boolean {
  return !/^event: /m.test(block) || /^event: step\.delta$/m.test(block);
}

function toFigures(latencies: number[]): StreamFigures {
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { received: sorted.length, p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? NaN };
}
