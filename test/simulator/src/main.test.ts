import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { joinJournal, readJournal } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'simulator-main-'));
const journal = join(folder, 'journal.jsonl');
let running: ChildProcess | null = null;

afterEach(() => {
  running?.kill('SIGKILL');
});

async function start(config: object): Promise<{ url: string; process: ChildProcess }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env: {
      ...process.env,
      SIMULATOR_PORT: '0',
      SIMULATOR_JOURNAL: journal,
      SIMULATOR_CONFIG: JSON.stringify(config),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running = child;
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { url: (JSON.parse(line.toString()) as { listening: string }).listening, process: child };
}

describe('the simulator as a process', () => {
  it('keeps the journal of everything it answered through kill -9 and goes on numbering', async () => {
    const first = await start({ latencyMs: 1 });
    const client = new OpenAI({ apiKey: 'sk-x', baseURL: `${first.url}/v1`, maxRetries: 0 });
    const ask = (prompt: string): Promise<OpenAI.ChatCompletion> =>
      client.chat.completions.create({ model: 'gpt-6-luna', messages: [{ role: 'user', content: prompt }] });
    await Promise.all(Array.from({ length: 50 }, (_, index) => ask(`number ${index}`)));
    const hanging = ask('[[sim:fault=hang]]').catch(() => null);
    await expect.poll(() => readJournal(journal).length).toBe(101);
    first.process.kill('SIGKILL');
    await hanging;
    const calls = joinJournal(readJournal(journal));
    expect(calls.filter((call) => call.end?.finished === true)).toHaveLength(50);
    expect(calls.filter((call) => call.end === null)).toHaveLength(1);

    const second = await start({});
    await new OpenAI({ apiKey: 'sk-x', baseURL: `${second.url}/v1`, maxRetries: 0 }).embeddings.create({
      model: 'text-embedding-3-small',
      input: 'x',
    });
    expect(readJournal(journal).at(-1)!.sequence).toBe(52);
    const exit = once(second.process, 'exit');
    second.process.kill('SIGTERM');
    expect((await exit)[0]).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
