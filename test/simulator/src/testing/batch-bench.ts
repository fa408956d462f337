import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import type { ConfigPatch } from '../simulator-config.ts';
import { startSimulator, type RunningSimulator } from '../start-simulator.ts';

/** A simulator with both vendors' clients, for tests of batches. */
export interface BatchBench {
  readonly simulator: RunningSimulator;
  readonly openai: OpenAI;
  readonly anthropic: Anthropic;
  /** `POST /_simulator/faults`. */
  order(fault: object): Promise<void>;
  /** Uploads the lines and creates a batch of them. */
  createOpenai(lines: readonly string[], metadata?: Record<string, string>): Promise<OpenAI.Batch>;
  createAnthropic(prompts: readonly string[]): Promise<Anthropic.Messages.MessageBatch>;
  /** The lines of a file, parsed. */
  linesOf(fileId: string): Promise<readonly OutputLine[]>;
}

export interface OutputLine {
  readonly custom_id: string;
  readonly response: { readonly status_code: number; readonly body: unknown } | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export const LUNA = 'gpt-6-luna';
export const HAIKU = 'claude-haiku-5-5';

/** A batch that moves on only when the test moves the clock, if the test gives no other times. */
export async function startBatchBench(config: ConfigPatch = {}): Promise<BatchBench> {
  const simulator = await startSimulator({ config });
  const openai = new OpenAI({ apiKey: 'sk-batch', baseURL: `${simulator.url}/openai/v1`, maxRetries: 0 });
  const anthropic = new Anthropic({
    apiKey: 'sk-batch',
    baseURL: `${simulator.url}/anthropic`,
    maxRetries: 0,
  });
  return {
    simulator,
    openai,
    anthropic,
    async order(fault) {
      const body = JSON.stringify(fault);
      const answer = await fetch(`${simulator.url}/_simulator/faults`, { method: 'POST', body });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async createOpenai(lines, metadata = {}) {
      const content = await toFile(Buffer.from(lines.join('\n')), 'in.jsonl');
      const file = await openai.files.create({ file: content, purpose: 'batch' });
      return openai.batches.create({
        input_file_id: file.id,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
        metadata,
      });
    },
    createAnthropic: async (prompts) =>
      anthropic.messages.batches.create({
        requests: prompts.map((content, index) => ({
          custom_id: `c${index}`,
          params: { model: HAIKU, max_tokens: 100, messages: [{ role: 'user', content }] },
        })),
      }),
    async linesOf(fileId) {
      const text = await (await openai.files.content(fileId)).text();
      return text
        .trim()
        .split('\n')
        .map((each) => JSON.parse(each) as OutputLine);
    },
  };
}

/** An input line of a chat completion. */
export function chatLine(customId: string, prompt: string, model = LUNA): string {
  const body = { model, messages: [{ role: 'user', content: prompt }] };
  return JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body });
}

export function chatLines(count: number, prompt = '[[sim:reply=x]]'): readonly string[] {
  return Array.from({ length: count }, (_, index) => chatLine(`c${index}`, prompt));
}
