import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';

let running: ChildProcess | null = null;
afterEach(async () => {
  if (running === null) return;
  // Not killed: it has hundreds of megabytes to take away.
  const exit = once(running, 'exit');
  running.kill('SIGTERM');
  await exit;
});

const MEBI = 1024 * 1024;
const PADDING = 'x'.repeat(40_000);

async function startProcess(): Promise<string> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../main.ts')], {
    env: { ...process.env, SIMULATOR_PORT: '0', SIMULATOR_CONFIG: '{"batches":{"runMs":1000000000}}' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running = child;
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return (JSON.parse(line.toString()) as { listening: string }).listening;
}

/** The most memory that the process ever held, as the kernel tells it. */
function peakBytes(): number {
  const status = readFileSync(`/proc/${running!.pid!}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

/** Sends a body piece by piece, so that this side holds none of it either. */
async function post(
  url: string,
  contentType: string,
  pieces: Iterable<string>,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = {
    authorization: 'Bearer sk-large',
    'content-type': contentType,
    'anthropic-version': '2026-10-21',
  };
  const sent = request(url, { method: 'POST', headers });
  const answered = once(sent, 'response');
  for (const piece of pieces) if (!sent.write(piece)) await once(sent, 'drain');
  sent.end();
  const [response] = (await answered) as [AsyncIterable<Buffer> & { statusCode: number }];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return {
    status: response.statusCode,
    body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>,
  };
}

function* times(count: number, make: (index: number) => string): Generator<string> {
  for (let index = 0; index < count; index += 1) yield make(index);
}

describe.skipIf(process.platform !== 'linux')('bodies of about 200 MB', () => {
  it('are taken and validated by both vendors with flat memory', { timeout: 120_000 }, async () => {
    const url = await startProcess();
    const before = peakBytes();
    const content = `${PADDING}`;
    const messages = JSON.stringify([{ role: 'user', content }]);
    const line = (index: number): string =>
      `{"custom_id":"c${index}","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-6-luna","messages":${messages}}}\n`;
    const count = Math.floor((190 * MEBI) / line(1_000).length);
    function* form(): Generator<string> {
      yield '--B\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n';
      yield '--B\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n';
      yield* times(count, line);
      yield '\r\n--B--\r\n';
    }
    const file = await post(`${url}/v1/files`, 'multipart/form-data; boundary=B', form());
    expect(file.status).toBe(200);
    expect(file.body['bytes']).toBeGreaterThan(180 * MEBI);
    const created = await post(`${url}/v1/batches`, 'application/json', [
      JSON.stringify({
        input_file_id: file.body['id'],
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
      }),
    ]);
    expect(created.status).toBe(200);
    await fetch(`${url}/_simulator/clock`, { method: 'POST', body: '{"advance_ms":1001}' });
    const answer = await fetch(`${url}/v1/batches/${String(created.body['id'])}`, {
      headers: { authorization: 'Bearer sk-large' },
    });
    expect(await answer.json()).toMatchObject({ status: 'in_progress', request_counts: { total: count } });

    const item = (index: number): string =>
      `${index === 0 ? '{"requests":[' : ','}{"custom_id":"c${index}","params":{"model":"claude-haiku-5-5","max_tokens":5,"messages":${messages}}}`;
    function* requests(): Generator<string> {
      yield* times(count, item);
      yield ']}';
    }
    const batch = await post(`${url}/anthropic/v1/messages/batches`, 'application/json', requests());
    expect(batch.body).toMatchObject({ request_counts: { processing: count } });
    // Neither body fits into what the process took in addition, let alone both.
    expect(peakBytes() - before).toBeLessThan(150 * MEBI);
  });
});
