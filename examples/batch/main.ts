import { withTemporaryStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';
import { countBy, showBill } from './bill.ts';
import { createClient } from './client.ts';
import { bookPlan, ticketsPlan, urgentPlan } from './plans.ts';
import { makeTickets } from './tickets.ts';
import { readLane, watchJobs } from './watch.ts';

/** Fewer of them make a shorter run. */
const TICKETS = Number(process.env.TICKETS ?? 2_000);
const URGENT_TICKETS = 12;

/**
 * Brings up a Millrace with a simulated provider, classifies support tickets and summarises a book in provider batches, and shows
 * what that saves. A third job rides in a batch that gets stuck, and leaves it before its deadline. Exit code 0 when all went well.
 */
async function main(): Promise<boolean> {
  // With a provider's key in the environment its real batches would be used, and they take hours.
  const { OPENAI_API_KEY: _openAi, ANTHROPIC_API_KEY: _anthropic, ...environment } = process.env;
  return withTemporaryStack({ workers: 1, environment: { ...environment, ...QUICK } }, runJobs);
}

/** A day in a minute: the provider's batches take seconds, and Millrace collects, looks and escapes accordingly. */
const QUICK = {
  MILLRACE_BATCH_COLLECT_AGE: '6s',
  MILLRACE_BATCH_POLL_INTERVAL: '1s',
  MILLRACE_BATCH_MAX_LINES: '500',
  MILLRACE_BATCH_ESCAPE_MARGIN: '12s',
  SIMULATOR_CONFIG: JSON.stringify({
    tokensPerSecond: 120,
    batches: { validateMs: 1_500, runMs: 9_000, jitter: 0.4, finalizeMs: 500 },
  }),
};
const URGENT_DEADLINE = '25s';

async function runJobs(stack: LocalStack): Promise<boolean> {
  const { simulatorUrl } = stack;
  const schedulerUrl = stack.processes.find(({ name }) => name === 'scheduler')?.url;
  if (simulatorUrl === null || schedulerUrl === undefined) throw new Error('the stack lacks a process');
  const client = createClient(stack.apiUrl, stack.bootstrapKey);
  await stickNextBatch(simulatorUrl);

  const tickets = makeTickets(TICKETS);
  const submitted = [
    { label: 'tickets', job: await client.submit(ticketsPlan(tickets)) },
    { label: 'book', job: await client.submit(bookPlan()) },
    {
      label: 'urgent',
      job: await client.submit(urgentPlan(tickets.slice(-URGENT_TICKETS), URGENT_DEADLINE)),
    },
  ];
  console.log(
    `${TICKETS} tickets and a book until tomorrow; ${URGENT_TICKETS} urgent tickets within ${URGENT_DEADLINE}\n`,
  );
  const read = () => readLane(schedulerUrl, simulatorUrl);
  const ended = await watchJobs(client, submitted, read);
  const jobs = ended.map((job, index) => ({ label: submitted[index]?.label ?? '', job }));
  const [classified, summarised, urgent] = ended;
  if (!classified || !summarised || !urgent) return false;
  for (const { label, job } of jobs) if (job.error) console.error(`  ${label}: ${job.error.message}`);

  console.log('\nThe tickets went to');
  const answers = Array.isArray(classified.output) ? (classified.output as { team: string }[]) : [];
  for (const [team, count] of countBy(answers, ({ team }) => team)) {
    console.log(`  ${team.padEnd(10)} ${String(count).padStart(5)}`);
  }
  console.log(`\nThe book\n  ${inLines(String(summarised.output))}`);

  console.log('\nWhat it took');
  const bill = await showBill(client, jobs, simulatorUrl);
  const { escapes, savedUsd } = await read();
  const escaped = escapes.deadline ?? 0;
  console.log(`\n  The lane saved $${savedUsd.toFixed(4)} on what it answered.`);
  console.log(
    `  ${escaped} steps left a batch that got stuck and were answered in realtime before their deadline.`,
  );

  const isRight =
    ended.every(({ status }) => status === 'completed') &&
    answers.length === TICKETS &&
    escaped === URGENT_TICKETS &&
    Math.abs(bill.bookedUsd - bill.billedUsd) < 0.000_1 + bill.billedUsd / 1_000;
  console.log(
    isRight
      ? '\nAll jobs completed, and Millrace has booked what the provider billed.'
      : '\nSomething went wrong.',
  );
  return isRight;
}

/** The provider's next batch of Anthropic's, that of the urgent tickets, never ends. */
async function stickNextBatch(simulatorUrl: string): Promise<void> {
  const fault = { kind: 'batch_stuck', times: 1, at: 0, match: { dialect: 'anthropic' } };
  const answer = await fetch(`${simulatorUrl}/_simulator/faults`, {
    method: 'POST',
    body: JSON.stringify(fault),
  });
  if (!answer.ok) throw new Error(`the simulator refused the fault: ${await answer.text()}`);
}

/** Broken at words, so that a terminal shows it well. */
function inLines(text: string): string {
  return text.replace(/(.{1,100})(?:\s+|$)/g, '$1\n  ').trimEnd();
}

process.exitCode = (await main()) ? 0 : 1;
