import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { OpenAI, toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openDatabase } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { waitFor } from '@millrace/test-support';
import { startTestStack } from './start-stack.ts';
import type { TestStack } from './start-stack.ts';

/** Together just below the 200 MiB that a batch's input may have. */
const LINES = 5_000;
const LINE_BYTES = 41_000;
const MIB = 1024 * 1024;
/** What a process may hold in its heap, garbage included: much less than the file. */
const HEAP_MIB = 160;
/** A file held outside of the heap would show as at least its size. */
const MOST_GROWTH_BYTES = 180 * MIB;

let stack: TestStack;
let database: Database;
let folder: string;
let client: OpenAI;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'openai-batch-size-'));
  stack = await startTestStack({
    // Nobody runs the jobs: what counts is what becomes of the file.
    workers: 0,
    environment: { NODE_OPTIONS: `--max-old-space-size=${HEAP_MIB}` },
  });
  database = openDatabase({
    url: stack.databaseUrl,
    maxConnections: 1,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'e2e',
  });
  client = new OpenAI({ baseURL: `${stack.apiUrl}/v1`, apiKey: stack.bootstrapKey, maxRetries: 0 });
});
afterAll(async () => {
  await database.close();
  await stack.end();
  await rm(folder, { recursive: true, force: true });
});

async function residentBytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes\{[^}]*\} (\d+)/m.exec(text)![1]);
}

/** By how much a process's memory grows at most while something is done. */
async function growthOf<Result>(
  url: string,
  work: () => Promise<Result>,
): Promise<{ result: Result; growth: number }> {
  const before = await residentBytes(url);
  let peak = before;
  let done = false;
  const watching = (async () => {
    while (!done) {
      peak = Math.max(peak, await residentBytes(url));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    return { result: await work(), growth: peak - before };
  } finally {
    done = true;
    await watching;
  }
}

async function writeInput(path: string): Promise<string> {
  const hash = createHash('sha256');
  const file = createWriteStream(path);
  for (let at = 0; at < LINES; at += 1) {
    const line = JSON.stringify({
      custom_id: `line ${at}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: 'gpt-6-luna',
        max_completion_tokens: 5,
        messages: [{ role: 'user', content: `${at} [[sim:reply=x]] `.padEnd(LINE_BYTES - 150, 'text ') }],
      },
    });
    hash.update(`${line}\n`);
    if (!file.write(`${line}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return hash.digest('hex');
}

it('a file of 200 MB is taken, read, validated and turned into jobs with flat memory', async () => {
  const path = join(folder, 'input.jsonl');
  const sha256 = await writeInput(path);
  const { size } = await stat(path);
  expect(size).toBeGreaterThan(190 * MIB);
  expect(size).toBeLessThan(200 * MIB);

  const upload = await growthOf(stack.apiUrl, async () =>
    client.files.create({ file: await toFile(createReadStream(path), 'input.jsonl'), purpose: 'batch' }),
  );
  expect(upload.result.bytes).toBe(size);

  const download = await growthOf(stack.apiUrl, async () => {
    const hash = createHash('sha256');
    const content = await client.files.content(upload.result.id);
    for await (const piece of content.body!) hash.update(piece as Uint8Array);
    return hash.digest('hex');
  });
  expect(download.result).toBe(sha256);

  const scheduler = stack.processes.find((process) => process.name === 'scheduler')!.url;
  const running = await growthOf(scheduler, async () => {
    const { id } = await client.batches.create({
      input_file_id: upload.result.id,
      endpoint: '/v1/chat/completions',
      completion_window: '15m' as '24h',
    });
    const expanded = 'SELECT FROM client_batches WHERE id = $1 AND total > 0 AND expanded_lines = total';
    await waitFor(async () => (await database.query(expanded, [id])).length > 0, {
      timeoutMs: 120_000,
      intervalMs: 250,
      what: () => `all lines to be jobs\n${stack.logs()}`,
    });
    await client.batches.cancel(id);
    await waitFor(async () => (await client.batches.retrieve(id)).status === 'cancelled', {
      timeoutMs: 120_000,
      intervalMs: 250,
      what: () => 'the batch to be cancelled',
    });
    return client.batches.retrieve(id);
  });
  const { total, completed } = running.result.request_counts!;
  expect(completed).toBe(0);
  expect(total).toBe(LINES);
  const errors = await (await client.files.content(running.result.error_file_id!)).text();
  expect(errors.trim().split('\n')).toHaveLength(LINES);

  const growth = { upload: upload.growth, download: download.growth, running: running.growth };
  console.log(
    Object.entries(growth)
      .map(([what, bytes]) => `${what}: +${Math.round(bytes / MIB)} MiB`)
      .join(', '),
  );
  expect(growth.upload).toBeLessThan(MOST_GROWTH_BYTES);
  expect(growth.download).toBeLessThan(MOST_GROWTH_BYTES);
  expect(growth.running).toBeLessThan(MOST_GROWTH_BYTES);
}, 300_000);
