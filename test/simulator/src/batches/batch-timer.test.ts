import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { joinBatches } from '../index.ts';
import { chatLine, chatLines, startBatchBench, type BatchBench } from '../testing/batch-bench.ts';

let bench: BatchBench;
const QUICK = { validateMs: 20, runMs: 100, finalizeMs: 20, cancelMs: 20, tickMs: 10 };

afterEach(async () => {
  await bench.simulator.stop();
});

describe('batches on the timer', () => {
  it('end by themselves, without anybody who looks', async () => {
    bench = await startBatchBench({ batches: { ...QUICK, jitter: 0.5, perLineMs: 1 } });
    const openai = await bench.createOpenai(chatLines(20));
    const anthropic = await bench.createAnthropic(['[[sim:reply=x]]', '[[sim:reply=y]]']);
    const endings = (): string[] =>
      joinBatches(bench.simulator.journal()).map((batch) => batch.ended?.status ?? '');
    await expect.poll(endings, { timeout: 10_000 }).toEqual(['completed', 'ended']);
    expect((await bench.openai.batches.retrieve(openai.id)).status).toBe('completed');
    expect((await bench.anthropic.messages.batches.retrieve(anthropic.id)).processing_status).toBe('ended');
  });

  it('expire in real time when the window is short', async () => {
    bench = await startBatchBench({ batches: { ...QUICK, windowMs: 300 } });
    const { id } = await bench.createOpenai([
      chatLine('a', '[[sim:reply=x]]'),
      chatLine('b', '[[sim:fault=hang]]'),
    ]);
    await expect
      .poll(async () => (await bench.openai.batches.retrieve(id)).status, { timeout: 10_000 })
      .toBe('expired');
    expect((await bench.openai.batches.retrieve(id)).request_counts).toEqual({
      total: 2,
      completed: 1,
      failed: 1,
    });
  });

  it('answer nothing twice when many readers and a cancellation come while the lines are worked on', async () => {
    bench = await startBatchBench({ batches: { ...QUICK, validateMs: 0, runMs: 0 } });
    const { id } = await bench.createOpenai(chatLines(5_000));
    await Promise.all(Array.from({ length: 20 }, async () => bench.openai.batches.retrieve(id)));
    await bench.openai.batches.cancel(id).catch(() => undefined);
    await expect
      .poll(async () => (await bench.openai.batches.retrieve(id)).status, { timeout: 20_000 })
      .toMatch(/^(?:cancelled|completed)$/);
    const [batch] = joinBatches(bench.simulator.journal());
    expect(new Set(batch!.lines.map((line) => line.customId)).size).toBe(5_000);
    expect(batch!.lines).toHaveLength(5_000);
  });
});

describe('webhooks of OpenAI batches', () => {
  it('are signed so that the SDK unwraps them, and are sent again under the same id after a refusal', async () => {
    const received: { headers: Record<string, string>; body: string }[] = [];
    const server = createServer((request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
        received.push({
          headers: Object.fromEntries(headers) as Record<string, string>,
          body: Buffer.concat(chunks).toString(),
        });
        response.writeHead(received.length === 1 ? 503 : 200).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const secret = `whsec_${Buffer.from('a secret of enough bytes').toString('base64')}`;
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    bench = await startBatchBench({ batches: QUICK, webhooks: { url, secret } });
    const { id } = await bench.createOpenai(chatLines(2));
    await expect.poll(() => received.length, { timeout: 10_000 }).toBe(2);
    const [first, second] = received;
    const event = await bench.openai.webhooks.unwrap(second!.body, second!.headers, secret);
    expect(event).toMatchObject({ type: 'batch.completed', data: { id } });
    expect(second!.headers['webhook-id']).toBe(first!.headers['webhook-id']);
    await expect(
      bench.openai.webhooks.unwrap(second!.body, second!.headers, 'whsec_b3RoZXI='),
    ).rejects.toThrow();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});
