import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createBlobStore } from '@millrace/blobs';
import type { BlobStore } from '@millrace/blobs';
import { createId, defaultRequestLimits } from '@millrace/contracts';
import {
  advanceJob,
  beginFile,
  createClientBatch,
  ensureTenant,
  findClientBatch,
  findFile,
  findOpenClientBatches,
  openDatabase,
  storeFile,
} from '@millrace/ledger';
import type { ClientBatch, Database } from '@millrace/ledger';
import { checkPlan, createOutputValidators } from '@millrace/plans';
import { createTestDatabase } from '@millrace/test-support';
import { moveBatch } from '../move-batch.ts';
import type { MoveOptions } from '../move-batch.ts';

export const tenantId = 'acme';

/** A ledger, a blob store, and the moves of a batch's life, one at a time. */
export interface BatchFixture {
  database: Database;
  blobs: BlobStore;
  options: MoveOptions;
  /** Webhook deliveries that were to be put on the queue. */
  delivered: string[];
  /** Creates a batch over these lines. */
  create(
    lines: readonly (object | string)[],
    change?: { endpoint?: string; windowMs?: number },
  ): Promise<string>;
  /** Moves the batch one step on, if it is open. */
  move(batchId: string, change?: Partial<MoveOptions>): Promise<void>;
  /** Moves it on until its status is one of these. */
  moveTo(batchId: string, ...statuses: ClientBatch['status'][]): Promise<ClientBatch>;
  batch(batchId: string): Promise<ClientBatch>;
  /** Ids of its jobs, in the order of the lines. */
  jobs(batchId: string): Promise<string[]>;
  complete(jobId: string, output?: string): Promise<void>;
  fail(jobId: string): Promise<void>;
  /** The lines of a result file; none when there is no file. */
  linesOf(fileId: string | null): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Opens one. */
export async function openBatchFixture(): Promise<BatchFixture> {
  const testDatabase = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'client-batches-'));
  const database = openDatabase({
    url: testDatabase.url,
    maxConnections: 4,
    connectTimeoutMs: 5_000,
    statementTimeoutMs: 10_000,
    applicationName: 'client batches test',
  });
  await ensureTenant(database, tenantId);
  const blobs = createBlobStore({
    address: `file:${folder}`,
    s3: { endpoint: null, region: '', accessKeyId: null, secretAccessKey: null },
  });
  const delivered: string[] = [];
  const validators = createOutputValidators({ maxEntries: 10 });
  const options: MoveOptions = {
    database,
    blobs,
    mayGoOn: () => true,
    now: Date.now,
    missingSince: new Map(),
    holdBack: () => false,
    maxLineBytes: 10_000,
    maxOpenJobsPerTenant: 100_000,
    resolveModel: (name) =>
      name === 'cheap' ? { route: name } : name.startsWith('gpt') ? { model: `openai/${name}` } : null,
    checkPlan: (plan) => {
      const check = checkPlan(plan, { limits: defaultRequestLimits, isKnownTarget: () => true, validators });
      return check.ok ? [] : check.errors;
    },
    wake: async () => undefined,
    announceCancelled: async () => undefined,
    deliver: async (deliveryIds) => void delivered.push(...deliveryIds),
    onEnded: () => undefined,
  };
  const fixture: BatchFixture = {
    database,
    blobs,
    options,
    delivered,
    async create(lines, { endpoint = '/v1/chat/completions', windowMs = 3_600_000 } = {}) {
      const id = createId('file');
      const content = lines
        .map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`)
        .join('');
      await beginFile(database, { id, tenantId, leaseMs: 60_000 });
      const { bytes } = await blobs.write(id, one(Buffer.from(content)));
      await storeFile(database, {
        id,
        tenantId,
        purpose: 'batch',
        fileName: 'in.jsonl',
        bytes,
        lifeSeconds: 3_600,
        mostBytes: Infinity,
      });
      const created = await createClientBatch(database, {
        id: createId('batch'),
        tenantId,
        apiKeyId: 'testkey00000',
        requestId: 'req_test',
        endpoint,
        inputFileId: id,
        completionWindow: '1h',
        windowMs,
        metadata: null,
        outputLifeSeconds: null,
      });
      if (typeof created === 'string') throw new Error(created);
      return created.id;
    },
    async move(batchId, change = {}) {
      const open = await findOpenClientBatches(database, 100);
      const batch = open.find((each) => each.id === batchId);
      if (batch) await moveBatch(batch, { ...options, ...change });
    },
    async moveTo(batchId, ...statuses) {
      for (let moves = 0; moves < 20; moves += 1) {
        const batch = await fixture.batch(batchId);
        if (statuses.includes(batch.status)) return batch;
        await fixture.move(batchId);
      }
      throw new Error(`the batch does not become ${statuses.join(' or ')}`);
    },
    async batch(batchId) {
      const batch = await findClientBatch(database, tenantId, batchId);
      if (!batch) throw new Error('there is no such batch');
      return batch;
    },
    async jobs(batchId) {
      const rows = await database.query<{ id: string }>(
        `SELECT id FROM jobs WHERE starts_with(idempotency_key, $1)
         ORDER BY split_part(idempotency_key, '/', 2)::int`,
        [`${batchId}/`],
      );
      return rows.map((row) => row.id);
    },
    async complete(jobId, output = 'an answer') {
      await advanceJob(database, jobId, async () => ({
        kind: 'finish',
        status: 'completed',
        output,
        error: null,
      }));
    },
    async fail(jobId) {
      await advanceJob(database, jobId, async () => ({
        kind: 'finish',
        status: 'failed',
        output: null,
        error: { code: 'output_invalid', message: 'it does not fit' },
      }));
    },
    async linesOf(fileId) {
      if (fileId === null) return [];
      const file = await findFile(database, tenantId, fileId);
      const content = await blobs.read(fileId);
      if (!file || !content) throw new Error(`there is no file ${fileId}`);
      const whole = await text(content.stream);
      if (Buffer.byteLength(whole) !== file.bytes) throw new Error('the size is wrong');
      return whole
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    async close() {
      await database.close();
      await testDatabase.drop();
      await rm(folder, { recursive: true });
    },
  };
  return fixture;
}

async function* one(content: Uint8Array): AsyncIterable<Uint8Array> {
  yield content;
}

/** A line of a batch for chat completions. */
export function chatLine(customId: string, body: object = {}): object {
  return {
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'cheap', messages: [{ role: 'user', content: `This is ${customId}.` }], ...body },
  };
}
