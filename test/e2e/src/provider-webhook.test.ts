import { readJournal } from '@millrace/simulator';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createHttpClient } from './http-client.ts';
import { simulatedProvider } from './simulated-provider.ts';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** The first look at a batch is due after this time, and the whole test is over before. */
const FIRST_LOOK_MS = 80_000;
const secret = `whsec_${Buffer.from('a webhook secret of 24 by').toString('base64')}`;

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack({
    workers: 1,
    environment: {
      SIMULATOR_CONFIG: JSON.stringify({ batches: { validateMs: 500, runMs: 1_500, finalizeMs: 100 } }),
      OPENAI_WEBHOOK_SECRET: secret,
      MILLRACE_BATCH_COLLECT_AGE: '500ms',
      MILLRACE_BATCH_POLL_INTERVAL: '20m',
    },
  });
}, 120_000);
afterAll(() => stack.end());

it('a webhook of the provider lets a batch be read long before its next poll', async () => {
  await simulatedProvider(stack).configure({
    webhooks: { url: `${stack.apiUrl}/provider_webhooks/openai`, secret },
  });
  const client = createHttpClient(stack);
  const job = await client.submit('one', {
    type: 'call',
    model: 'openai/gpt-6-luna',
    prompt: 'Say hello.',
    lane: 'batch',
    deadline: '24h',
  });
  const [ended] = await client.allEnded([job.id], FIRST_LOOK_MS / 2);
  expect(ended).toMatchObject({ status: 'completed' });
  const sent = () =>
    readJournal(stack.simulatorJournalPath!).filter((entry) => entry.event === 'webhook.sent');
  // The provider writes that down when it has read the answer.
  await waitFor(() => sent().length > 0, { timeoutMs: 10_000, what: 'the webhook to be answered' });
  expect(sent()).toMatchObject([{ type: 'batch.completed', status: 204 }]);
}, 120_000);
