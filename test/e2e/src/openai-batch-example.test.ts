import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('the example prints the same through Millrace and at the provider, and its lines ride the batch lane', async () => {
  const example = fileURLToPath(new URL('../../../examples/openai-batch/main.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [example], { timeout: 150_000 });
  expect(stdout).toContain('Both printed the same.');
  expect(stdout).toContain('in the lane: batch\n');
  expect(stdout.match(/batch: completed, 4 requests, 4 completed, 0 failed/g)).toHaveLength(2);
}, 180_000);
