/**
 * What `stream-latency.ts` is compared with: the vendor's SDK in one process, which reads all the streams and passes nothing
 * on. Is told the address and the prompt by its arguments; answers with what it saw.
 */
import OpenAI from 'openai';
import { stampPattern, toStreamFigures, wallMs } from '../stream-figures.ts';

const [baseURL = '', prompt = '', streams = '', tokens = ''] = process.argv.slice(2);
const client = new OpenAI({ apiKey: 'sk-bench', baseURL, maxRetries: 0 });
const latencies: number[] = [];
await Promise.all(
  Array.from({ length: Number(streams) }, async () => {
    const stream = await client.responses.create({
      model: 'gpt-6-luna',
      input: prompt,
      max_output_tokens: Number(tokens),
      stream: true,
    });
    for await (const event of stream) {
      if (event.type !== 'response.output_text.delta') continue;
      const at = wallMs();
      for (const [, writtenAt] of event.delta.matchAll(stampPattern)) latencies.push(at - Number(writtenAt));
    }
  }),
);
process.send?.(toStreamFigures(latencies));
