import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalStack } from '@millrace/infra';
import type { LocalStack } from '@millrace/infra';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fencedBlocks, readDocument } from './read-markdown.ts';

/*
 * The tour of README.md as a reader takes it: every block `sh tour` runs in one shell, in order; a block `text answer`
 * says what the block before it prints, `…` standing for anything. The ports of the text are replaced by free ones.
 */

const blocks = fencedBlocks(readDocument('README.md'));
const hasTools = ['sh', 'curl'].every((tool) => spawnSync(tool, ['--version']).error === undefined);

let directory: string;
let stack: LocalStack;
let receiver: ChildProcess;
let received = '';
let adapt: (script: string) => string;

beforeAll(async () => {
  if (!hasTools) return;
  directory = await mkdtemp(join(tmpdir(), 'millrace-tour-'));
  const hookPort = await freePort();
  stack = await startLocalStack({
    dataDirectory: join(directory, '.millrace'),
    port: 0,
    workers: 1,
    environment: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      MILLRACE_ALLOW_PRIVATE_WEBHOOKS: `127.0.0.1:${hookPort}`,
    },
    onLog: () => undefined,
  });
  adapt = (text) =>
    text.replaceAll('http://127.0.0.1:8080', stack.apiUrl).replaceAll('8099', String(hookPort));
  receiver = spawn('sh', ['-c', `exec ${adapt(only('sh receiver'))}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  receiver.stdout?.on('data', (piece: Buffer) => (received += piece.toString()));
}, 60_000);

afterAll(async () => {
  if (!hasTools) return;
  if (receiver.exitCode === null) {
    receiver.kill();
    await once(receiver, 'exit');
  }
  await stack.stop();
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
});

test('the README has the two commands as lines of their own', () => {
  expect(blocks.filter((block) => block.info === 'sh').map((block) => block.text)).toEqual(
    expect.arrayContaining(['npm ci && npm run demo\n', 'npm ci && npm test\n']),
  );
  expect(
    blocks.some((block) => /^MILLRACE_ALLOW_PRIVATE_WEBHOOKS=127.0.0.1:8099 npm start$/m.test(block.text)),
  ).toBe(true);
});

test.skipIf(!hasTools)(
  'every command of the README’s tour prints what the README says',
  async () => {
    const steps = blocks.filter((block) => block.info === 'sh tour' || block.info === 'text answer');
    const commands = steps.filter((block) => block.info === 'sh tour');
    expect(commands.length).toBeGreaterThan(8);
    const script = commands.map((command) => `${adapt(command.text)}printf '\\n${END}\\n'\n`).join('');
    const outputs = (await runShell(script)).split(`\n${END}\n`);

    const answers = steps.flatMap((block, index) => {
      const command = steps[index - 1];
      return block.info === 'text answer' && command ? [{ command, answer: adapt(block.text) }] : [];
    });
    for (const { command, answer } of answers) {
      const output = outputs[commands.indexOf(command)] ?? '';
      expect(squeeze(output), command.text).toMatch(toPattern(answer));
    }
    const webhook = toPattern(only('text received'));
    await waitFor(() => webhook.test(squeeze(received)), { what: () => `the webhook; came: ${received}` });
  },
  60_000,
);

const END = '--- end of a command ---';

function runShell(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const shell = execFile('sh', ['-eu'], { cwd: directory, timeout: 50_000 }, (error, output, errors) => {
      if (error) reject(new Error(`the shell failed: ${errors}\n${output}`, { cause: error }));
      else resolve(output);
    });
    shell.stdin?.end(script);
  });
}

/** Line breaks and spaces are the README's, for reading. */
function squeeze(text: string): string {
  return text.replace(/\s+/g, '');
}

function toPattern(answer: string): RegExp {
  const parts = squeeze(answer).split('…');
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^]*?')}$`);
}

function only(info: string): string {
  const [block, ...others] = blocks.filter((each) => each.info === info);
  if (!block || others.length > 0) throw new Error(`README.md needs exactly one block "${info}"`);
  return block.text;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
