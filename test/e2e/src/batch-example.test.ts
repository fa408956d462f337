import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('the example rides the batch lane at half the price, and what gets stuck escapes', async () => {
  const example = fileURLToPath(new URL('../../../examples/batch/main.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [example], {
    env: { ...process.env, TICKETS: '60' },
    timeout: 100_000,
  });
  expect(stdout).toContain('59 × batch (deadline_allows)');
  expect(stdout).toContain('1 × realtime (streamed)');
  expect(stdout).toContain('12 × realtime (escaped_deadline)');
  expect(stdout).toContain('All jobs completed, and Millrace has booked what the provider billed.');
  const [, billed, realtime] = /batch +\$([\d.]+) +\$([\d.]+)/.exec(stdout) ?? [];
  expect(Number(billed) / Number(realtime)).toBeCloseTo(0.5, 1);
}, 120_000);
