/** What stands behind `npm run bench --`. */
export type BenchCommand = readonly [bench: string, ...options: string[]];

/** Of `npm run bench` alone, in the order of the rows in docs/performance.md; each ends within a minute on a quiet machine. */
export const goalCommands: readonly BenchCommand[] = [
  ['intake'],
  ['utilisation', 'both'],
  ['capacity-utilisation', 'both'],
  ['capacity-throughput'],
  ['latency'],
  ['stream-latency'],
  ['sse-latency'],
  ['calls'],
  ['map-reduce'],
  ['growth'],
  ['cheapest-lane'],
  ['outage'],
];

/** Of `npm run bench -- --longer`: real minutes that slide, and a million jobs. */
export const longerCommands: readonly BenchCommand[] = [
  ['utilisation', 'requests', '--seconds', '90'],
  ['utilisation', 'tokens', '--seconds', '90'],
  ['utilisation', 'both', '--seconds', '90'],
  ['capacity-utilisation', 'both', '--limiter', 'book', '--minute', '60'],
  ['capacity-utilisation', 'both', '--limiter', 'bullmq', '--minute', '60'],
  ['capacity-utilisation', 'both', '--limiter', 'bullmq', '--minute', '60', '--window', '1'],
  ['capacity-utilisation', 'both', '--limiter', 'bottleneck', '--minute', '60'],
  ['utilisation', 'both', '--outsider', '0.3'],
  ['capacity-utilisation', 'both', '--limiter', 'book', '--minute', '60', '--outsider', '0.3'],
  ['growth', '--jobs', '1000000'],
  ['outage', '--seconds', '60'],
];

/** The benches by name. */
export const benchNames: ReadonlySet<string> = new Set(goalCommands.map(([name]) => name));

/** How a command is typed. */
export function written(command: BenchCommand): string {
  return ['npm run bench --', ...command].join(' ');
}
