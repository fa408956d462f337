import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { withTemporaryStack } from '@millrace/infra';

/**
 * Runs batch.ts, a script for OpenAI's batches, against a Millrace that it brings up, and then against the provider that is behind
 * that Millrace (a simulated one), by changing only the address and the key. Exit code 0 when both print the same.
 */
async function main(): Promise<boolean> {
  // With a provider's key in the environment its real batches would be used, and they take hours.
  const { OPENAI_API_KEY: _openAi, ANTHROPIC_API_KEY: _anthropic, ...environment } = process.env;
  return withTemporaryStack({ workers: 1, environment: { ...environment, ...QUICK } }, async (stack) => {
    const throughMillrace = await runBatch(`${stack.apiUrl}/v1`, stack.bootstrapKey);
    console.log(`--- through Millrace at ${stack.apiUrl}/v1\n${throughMillrace}`);
    const direct = await runBatch(`${stack.simulatorUrl}/openai/v1`, 'sk-simulated');
    console.log(`--- directly at the provider\n${direct}`);
    const lanes = await lanesOf(stack.apiUrl, stack.bootstrapKey);
    console.log(`Millrace ran the lines in the lane: ${lanes.join(', ')}`);
    const same = throughMillrace === direct;
    console.log(same ? 'Both printed the same.' : 'They differ.');
    return same;
  });
}

/** Nobody wants to wait for a day: the provider's batches take a second, and Millrace submits and polls at once. */
const QUICK = {
  MILLRACE_BATCH_COLLECT_AGE: '200ms',
  MILLRACE_BATCH_POLL_INTERVAL: '500ms',
  SIMULATOR_CONFIG: JSON.stringify({ batches: { validateMs: 200, runMs: 500, finalizeMs: 200 } }),
};

/** How the jobs that Millrace made of the lines were served. */
async function lanesOf(apiUrl: string, apiKey: string): Promise<string[]> {
  const get = async (path: string): Promise<{ data: { id: string; lane: string }[] }> => {
    const answer = await fetch(`${apiUrl}${path}`, { headers: { authorization: `Bearer ${apiKey}` } });
    return (await answer.json()) as { data: { id: string; lane: string }[] };
  };
  const { data: jobs } = await get('/v1/jobs?type=call');
  const steps = await Promise.all(jobs.map((job) => get(`/v1/jobs/${job.id}/steps`)));
  return [...new Set(steps.flatMap(({ data }) => data.map((step) => step.lane)))];
}

async function runBatch(baseUrl: string, apiKey: string): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [fileURLToPath(new URL('./batch.ts', import.meta.url))],
    {
      env: { ...process.env, OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey, BATCH_POLL_MS: '250' },
      timeout: 120_000,
    },
  );
  return stdout;
}

process.exitCode = (await main()) ? 0 : 1;
