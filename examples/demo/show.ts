import cliProgress from 'cli-progress';
import type { Job, MillraceClient } from './client.ts';

const isTerminal = process.stdout.isTTY;
const paint = (code: number) => (text: string) => (isTerminal ? `\u001b[${code}m${text}\u001b[0m` : text);
/** Colours for a terminal; plain text elsewhere. */
export const bold = paint(1);
export const dim = paint(2);
export const green = paint(32);
export const cyan = paint(36);

/** Prints a heading with room above it. */
export function heading(text: string): void {
  console.log(`\n${bold(cyan(`▌ ${text}`))}\n`);
}

/** Follows jobs together, a progress bar each, and resolves with the finished jobs in the same order. */
export async function showProgress(
  client: MillraceClient,
  jobs: { label: string; job: Job }[],
): Promise<Job[]> {
  const bars = new cliProgress.MultiBar({
    format: `  {label} ${isTerminal ? '{bar} ' : ''}{value}/{total} steps  {state}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 34,
    hideCursor: true,
    noTTYOutput: !isTerminal,
    notTTYSchedule: 1_000,
    emptyOnZero: true,
  });
  const finished = await Promise.all(
    jobs.map(async ({ label, job }) => {
      const bar = bars.create(1, 0, { label: label.padEnd(26), state: 'queued' });
      for await (const event of client.follow(job.id)) {
        if (event.steps_known !== undefined) bar.setTotal(event.steps_known);
        if (event.steps_done !== undefined) bar.update(event.steps_done);
        bar.update({ state: event.type.replace(/^job\./, '') });
      }
      const end = await client.get(job.id);
      bar.setTotal(end.progress.steps_known);
      bar.update(end.progress.steps_done, { state: end.status });
      return end;
    }),
  );
  bars.stop();
  return finished;
}

/** Prints a job's text while it is written, step by step, and resolves with the finished job. */
export async function showStream(client: MillraceClient, job: Job): Promise<Job> {
  let current = '';
  for await (const event of client.follow(job.id)) {
    if (event.type === 'step.started' && event.step) process.stdout.write(dim(`\n  [${event.step}] `));
    if (event.type === 'step.delta' && event.text) process.stdout.write(event.text.replaceAll('\n', '\n  '));
    if (event.type === 'step.retried') process.stdout.write(dim(' (again) '));
    current = event.type;
  }
  process.stdout.write(`\n\n  ${dim(current)}\n`);
  return client.get(job.id);
}

/** Prints what each job took and cost. */
export function showBill(jobs: { label: string; job: Job }[]): void {
  const rows = jobs.map(({ label, job }) => [
    label,
    job.status,
    String(job.usage.calls),
    String(job.usage.input_tokens),
    String(job.usage.output_tokens),
    `$${job.cost_usd}`,
    `${secondsOf(job).toFixed(1)} s`,
  ]);
  const table = [['job', 'status', 'calls', 'tokens in', 'tokens out', 'cost', 'time'], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const [index, row] of table.entries()) {
    const line = row.map((cell, column) =>
      column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(`  ${index === 0 ? dim(line.join('  ')) : line.join('  ')}`);
  }
}

/** Prints a text with a margin, broken at words. */
export function showText(text: string, width = 100): void {
  for (const paragraph of text.split('\n')) {
    let line = '  ';
    for (const word of paragraph.split(' ')) {
      if (line.length + word.length > width) {
        console.log(line);
        line = '  ';
      }
      line += `${word} `;
    }
    console.log(line);
  }
}

function secondsOf(job: Job): number {
  return job.finished_at === null ? 0 : (Date.parse(job.finished_at) - Date.parse(job.created_at)) / 1_000;
}
