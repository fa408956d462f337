import { setTimeout as pause } from 'node:timers/promises';
import type { ClientEntry } from './journals.ts';

const LOOK_EVERY_MS = 250;
const over: readonly string[] = ['completed', 'failed', 'expired', 'cancelled'];

interface Batch {
  id: string;
  status: string;
  output_file_id?: string | null;
  error_file_id?: string | null;
  request_counts?: { completed: number; failed: number };
}

/** Sends lines as a file and a batch of it, looks until the batch has ended, and notes every line of its results. */
export async function runClientBatch(
  order: {
    run: string;
    endpoint: string;
    lines: readonly { key: string; line: string }[];
    patienceMs: number;
  },
  ask: (method: string, path: string, body?: string | FormData) => Promise<Response>,
  note: (entry: ClientEntry) => void,
): Promise<string | null> {
  const { run, endpoint } = order;
  const form = new FormData();
  form.append('purpose', 'batch');
  form.append('file', new Blob([order.lines.map(({ line }) => `${line}\n`).join('')]), 'lines.jsonl');
  const file = (await (await ask('POST', '/v1/files', form)).json()) as { id: string };
  // A short window keeps the lines out of the vendors' batches, which are another campaign's.
  const wanted = { input_file_id: file.id, endpoint, completion_window: '15m' };
  let batch = (await (await ask('POST', '/v1/batches', JSON.stringify(wanted))).json()) as Batch;
  if (typeof batch.id !== 'string') throw new Error(`no batch: ${JSON.stringify(batch)}`);

  const deadlineAt = performance.now() + order.patienceMs;
  while (!over.includes(batch.status) && performance.now() < deadlineAt) {
    await pause(LOOK_EVERY_MS);
    const response = await ask('GET', `/v1/batches/${batch.id}`).catch(() => null);
    if (response?.status === 200) batch = (await response.json()) as Batch;
  }
  const { id: batchId, status } = batch;
  for (const [name, fileId] of [
    ['output', batch.output_file_id],
    ['error', batch.error_file_id],
  ] as const) {
    if (typeof fileId !== 'string') continue;
    const text = await (await ask('GET', `/v1/files/${fileId}/content`)).text();
    for (const line of text.split('\n').filter((each) => each !== '')) {
      const key = (JSON.parse(line) as { custom_id: string }).custom_id;
      note({ kind: 'line', at: new Date().toISOString(), run, batchId, key, file: name, text: line });
    }
  }
  const { completed = 0, failed = 0 } = batch.request_counts ?? {};
  note({ kind: 'batch', at: new Date().toISOString(), run, batchId, status, completed, failed });
  return over.includes(status) ? status : null;
}
