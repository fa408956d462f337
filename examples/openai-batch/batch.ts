import OpenAI, { toFile } from 'openai';

/*
 * A batch, written for OpenAI and nothing else. OPENAI_BASE_URL and OPENAI_API_KEY, which the SDK reads by itself, decide where it
 * runs: OpenAI, Millrace, or any other server of this API. BATCH_MODEL may name another model, or on Millrace a route.
 *
 *   OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=mr_… node examples/openai-batch/batch.ts
 */

const client = new OpenAI();
const model = process.env.BATCH_MODEL ?? 'gpt-6-luna';

const tickets = {
  'ticket-1': 'The app crashes when I open the settings.',
  'ticket-2': 'Please add a dark mode.',
  'ticket-3': 'I was charged twice this month.',
  'ticket-4': 'How do I export my data?',
};

const lines = Object.entries(tickets).map(([customId, text]) => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    model,
    max_completion_tokens: 200,
    messages: [
      { role: 'system', content: 'Classify the support ticket.' },
      { role: 'user', content: text },
    ],
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'ticket',
        strict: true,
        schema: {
          type: 'object',
          properties: { category: { enum: ['bug', 'wish', 'billing', 'question'] } },
          required: ['category'],
          additionalProperties: false,
        },
      },
    },
  },
}));

const input = await client.files.create({
  file: await toFile(Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')), 'tickets.jsonl'),
  purpose: 'batch',
});
let batch = await client.batches.create({
  input_file_id: input.id,
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
  metadata: { example: 'openai-batch' },
});
console.log(`batch: ${batch.status}`);

const everyMs = Number(process.env.BATCH_POLL_MS ?? 10_000);
while (!['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) {
  await new Promise((resolve) => setTimeout(resolve, everyMs));
  batch = await client.batches.retrieve(batch.id);
}
const { total, completed, failed } = batch.request_counts ?? { total: 0, completed: 0, failed: 0 };
console.log(`batch: ${batch.status}, ${total} requests, ${completed} completed, ${failed} failed`);
for (const problem of batch.errors?.data ?? []) console.log(`  line ${problem.line}: ${problem.message}`);

for (const fileId of [batch.output_file_id, batch.error_file_id]) {
  if (!fileId) continue;
  const text = await (await client.files.content(fileId)).text();
  // The order of the lines is the server's own affair.
  for (const line of text
    .trim()
    .split('\n')
    .map(readLine)
    .sort((a, b) => (a.id < b.id ? -1 : 1))) {
    console.log(`${line.id}: ${line.status} ${line.answer}`);
  }
}
const own = [];
for await (const each of client.batches.list({ limit: 10 })) if (each.id === batch.id) own.push(each);
console.log(`listed: ${own.length}`);
console.log(`input deleted: ${(await client.files.delete(input.id)).deleted}`);
if (batch.status !== 'completed' || failed > 0) process.exitCode = 1;

function readLine(text: string): { id: string; status: number; answer: string } {
  const line = JSON.parse(text) as {
    custom_id: string;
    response: {
      status_code: number;
      body: { choices?: OpenAI.ChatCompletion.Choice[]; error?: { message: string } };
    } | null;
    error: { message: string } | null;
  };
  const { response } = line;
  const choice = response?.body.choices?.[0];
  const answer = choice
    ? `${choice.message.content} (${choice.finish_reason})`
    : (response?.body.error?.message ?? line.error?.message ?? '');
  return { id: line.custom_id, status: response?.status_code ?? 0, answer };
}
