/**
 * The client of the benches of streaming, in a process of its own: reads event streams to their ends. Is told everything by
 * one message, says that each stream has begun, and answers with what it saw.
 */
import { get } from 'node:http';
import { stampPattern, toStreamFigures, wallMs } from './stream-figures.ts';

/** What the client is told. */
export interface StreamOrder {
  urls: readonly string[];
  headers: Record<string, string>;
  /** By which clock tokens say when they were written: see `clocks`. */
  clock: 'monotonic' | 'wall';
}

const clocks = {
  /** `<12.345> token`: the machine's own clock, the same in all processes. */
  monotonic: { now: () => Number(process.hrtime.bigint()) / 1e6, token: /<([\d.]+)> token/g },
  /** `1763740000000.123`. */
  wall: { now: wallMs, token: stampPattern },
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
        if (--open === 0) process.send?.(toStreamFigures(latencies));
      });
    });
  }
}

/** Other events repeat the text when it is whole. */
function holdsLiveText(block: string): boolean {
  return !/^event: /m.test(block) || /^event: step\.delta$/m.test(block);
}
