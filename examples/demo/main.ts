import { withTemporaryStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';
import { createClient } from './client.ts';
import type { Job, MillraceClient } from './client.ts';
import { chainPlan, routerPlan, summaryPlan } from './plans.ts';
import { bold, dim, green, heading, showBill, showProgress, showStream, showText } from './show.ts';
import { startWebhookReceiver } from './webhook-receiver.ts';
import type { WebhookReceiver } from './webhook-receiver.ts';

/** Brings up a whole Millrace in a temporary directory and runs the main jobs on it. Exit code 0 when all went well. */
async function demo(): Promise<boolean> {
  console.log(bold('Millrace') + dim(' — starting PostgreSQL, Redis, API, scheduler and two workers …'));
  const receiver = await startWebhookReceiver();
  const environment = {
    ...process.env,
    ...SIMULATED_PACE,
    MILLRACE_ALLOW_PRIVATE_WEBHOOKS: receiver.host,
  };
  try {
    return await withTemporaryStack({ workers: 2, environment }, (stack) => {
      showStack(stack);
      return runJobs(createClient(stack.apiUrl, stack.bootstrapKey), receiver);
    });
  } finally {
    await receiver.stop();
  }
}

/** The simulator answers at the pace of a small model, a few calls at a time, so that there is something to see. */
const SIMULATED_PACE = {
  MILLRACE_WORKER_CONCURRENCY: '4',
  SIMULATOR_CONFIG: JSON.stringify({ latencyMs: 250, latencyJitterMs: 250, tokensPerSecond: 90 }),
};

function showStack({ apiUrl, database, redis, simulatorUrl }: LocalStack): void {
  const provider = simulatorUrl
    ? 'simulated (set OPENAI_API_KEY or ANTHROPIC_API_KEY for the real one)'
    : bold('real: this run costs a few cents');
  console.log(`  API         ${apiUrl}\n  PostgreSQL  ${database}\n  Redis       ${redis}`);
  console.log(`  provider    ${provider}`);
}

async function runJobs(client: MillraceClient, receiver: WebhookReceiver): Promise<boolean> {
  const endpoint = await client.createWebhookEndpoint(receiver.url);
  receiver.useSecret(endpoint.secret);

  heading('A chain of three steps, streamed while it is written');
  const chain = await showStream(client, await client.submit(chainPlan()));
  console.log(
    `  ${dim('the first step’s structured output:')} ${JSON.stringify(await client.stepOutput(chain.id, 'facts'))}`,
  );

  heading('A MapReduce over sixteen chapters of Pride and Prejudice, and a router beside it');
  const submitted = [
    { label: 'map_reduce: summary', job: await client.submit(summaryPlan()) },
    { label: 'router: customer message', job: await client.submit(routerPlan()) },
  ];
  const [summary, routed] = await showProgress(client, submitted);
  if (!summary || !routed) return false;

  heading('The summary');
  showText(String(summary.output));
  heading('The note that the router wrote');
  showText(String(routed.output));

  heading('What it took');
  const jobs: { label: string; job: Job }[] = [
    { label: 'chain', job: chain },
    { label: 'map_reduce', job: summary },
    { label: 'router', job: routed },
  ];
  showBill(jobs);

  heading('Webhooks');
  const verified = await waitForWebhooks(receiver, jobs.length);
  for (const webhook of receiver.received) {
    console.log(
      `  ${webhook.verified ? green('✔ signature verified') : '✘ bad signature'}  ${webhook.type}  ${webhook.jobId}`,
    );
  }
  const good = verified && jobs.every(({ job }) => job.status === 'completed');
  for (const { label, job } of jobs)
    if (job.error) console.error(`  ${label}: ${job.error.code}: ${job.error.message}`);
  console.log(good ? `\n${green('All jobs completed.')}\n` : '\nSomething went wrong.\n');
  return good;
}

async function waitForWebhooks(receiver: WebhookReceiver, count: number): Promise<boolean> {
  const deadlineAt = Date.now() + 10_000;
  while (Date.now() < deadlineAt && receiver.received.length < count) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return receiver.received.length >= count && receiver.received.every((webhook) => webhook.verified);
}

process.exitCode = (await demo()) ? 0 : 1;
