import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { joinJournal, startSimulator, type RunningSimulator } from '../index.ts';

let simulator: RunningSimulator;
afterEach(async () => {
  await simulator.stop();
});

function client(): OpenAI {
  return new OpenAI({ apiKey: 'sk-x', baseURL: `${simulator.url}/v1`, maxRetries: 0 });
}

describe('pace', () => {
  it('waits for the first token and then keeps to the tokens per second', async () => {
    simulator = await startSimulator({ config: { latencyMs: 60, tokensPerSecond: 200 } });
    const hear = async (): Promise<number> => {
      const startedAtMs = performance.now();
      const arrivals: number[] = [];
      const stream = await client().chat.completions.create({
        model: 'gpt-6-luna',
        stream: true,
        messages: [{ role: 'user', content: '[[sim:tokens=41]]' }],
      });
      for await (const chunk of stream)
        if (chunk.choices[0]?.delta.content) arrivals.push(performance.now() - startedAtMs);
      expect(arrivals).toHaveLength(41);
      expect(arrivals[0]).toBeGreaterThanOrEqual(55);
      return arrivals.at(-1) ?? NaN;
    };
    let quickestMs = Infinity;
    // 40 tokens behind the first one take 200 ms. No token may be early; a busy machine may be late, but not three times.
    for (let streams = 0; streams < 3 && quickestMs >= 1_500; streams += 1) {
      const lastMs = await hear();
      expect(lastMs).toBeGreaterThanOrEqual(255);
      quickestMs = Math.min(quickestMs, lastMs);
    }
    expect(quickestMs).toBeLessThan(1_500);
  });

  it('can be set for one request by header or marker', async () => {
    simulator = await startSimulator();
    const timed = async (prompt: string, headers: Record<string, string>): Promise<number> => {
      const startedAtMs = performance.now();
      await client().chat.completions.create(
        { model: 'gpt-6-luna', messages: [{ role: 'user', content: prompt }] },
        { headers },
      );
      return performance.now() - startedAtMs;
    };
    expect(await timed('x', { 'x-simulator-latency-ms': '120' })).toBeGreaterThan(115);
    expect(await timed('[[sim:latency=120]]', {})).toBeGreaterThan(115);
    expect(await timed('[[sim:tokens=10]] [[sim:tps=80]]', {})).toBeGreaterThan(115);
  });

  it('can stamp each token with the instant it was written', async () => {
    simulator = await startSimulator();
    const answer = await client().chat.completions.create({
      model: 'gpt-6-luna',
      stream: true,
      messages: [{ role: 'user', content: '[[sim:tokens=3]] [[sim:stamps]]' }],
    });
    let text = '';
    for await (const chunk of answer) text += chunk.choices[0]?.delta.content ?? '';
    const stamps = text.trim().split(' ').map(Number);
    expect(stamps).toHaveLength(3);
    for (const stamp of stamps) expect(Math.abs(Date.now() - stamp)).toBeLessThan(5_000);
  });
});

describe('a client that goes away', () => {
  it('is journalled as aborted and billed for what was produced', async () => {
    simulator = await startSimulator();
    const stream = await client().chat.completions.create({
      model: 'gpt-6-luna',
      stream: true,
      messages: [{ role: 'user', content: '[[sim:tokens=500]] [[sim:tps=100]]' }],
    });
    let heard = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) heard += 1;
      if (heard === 5) break;
    }
    await expect.poll(() => joinJournal(simulator.journal())[0]?.end ?? null).not.toBeNull();
    const { end } = joinJournal(simulator.journal())[0]!;
    expect(end).toMatchObject({ aborted: true, finished: false, status: 200 });
    expect(end!.outputTokens).toBeGreaterThanOrEqual(5);
    expect(end!.outputTokens).toBeLessThan(500);
  });
});

describe('configuration', () => {
  it('can be patched while it runs and refuses unknown settings', async () => {
    simulator = await startSimulator();
    expect(() => {
      simulator.configure({ latncyMs: 3 } as never);
    }).toThrow('unknown simulator setting latncyMs');
    simulator.configure({ models: { 'local-llama': { vendor: 'openai', input: 1, output: 2 } } });
    const answer = await client().chat.completions.create({
      model: 'local-llama',
      temperature: 0.2,
      max_tokens: 50,
      messages: [{ role: 'user', content: '[[sim:reply=hi]]' }],
    });
    expect(answer.choices[0]!.message.content).toBe('hi');
  });
});
