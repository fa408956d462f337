import { createId } from '@millrace/contracts';
import { createClientBatch, findOpenClientBatches } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatLine, openBatchFixture } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

it('a text that PostgreSQL cannot hold fails in validation, and does not stop its batch for ever', async () => {
  const id = await fixture.create([chatLine('a'), chatLine('b', { metadata: { user: '\ud800' } })]);
  const { status, problems } = await fixture.moveTo(id, 'failed', 'completed');
  expect([status, problems.map(({ line, param }) => [line, param])]).toEqual([
    'failed',
    [[2, 'body.metadata.user']],
  ]);
});

it('contents of any characters become jobs', async () => {
  const messages = [{ role: 'user', content: 'NUL \u0000, half a pair \ud800 {{' }];
  const id = await fixture.create([chatLine('a', { messages })]);
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  expect((await fixture.batch(id)).expandedLines).toBe(1);
});

it('the names of a client’s members do not fill the list of problems', async () => {
  const id = await fixture.create([chatLine('a', { ['n'.repeat(9_000)]: 1 })]);
  const { problems } = await fixture.moveTo(id, 'failed');
  expect(problems).toHaveLength(1);
  expect(JSON.stringify(problems).length).toBeLessThan(3_000);
});

it('a tenant with many batches leaves another tenant its turn', async () => {
  for (let made = 0; made < 4; made += 1) await fixture.create([chatLine('a')]);
  const [input] = await fixture.database.query<{ id: string }>(
    "UPDATE client_files SET tenant_id = 'small' WHERE id = (SELECT max(id) FROM client_files) RETURNING id",
  );
  const created = await createClientBatch(fixture.database, {
    id: createId('batch'),
    tenantId: 'small',
    apiKeyId: 'testkey00000',
    requestId: 'req_test',
    endpoint: '/v1/chat/completions',
    inputFileId: input!.id,
    completionWindow: '1h',
    windowMs: 3_600_000,
    metadata: null,
    outputLifeSeconds: null,
  });
  if (typeof created === 'string') throw new Error(created);
  const open = await findOpenClientBatches(fixture.database, 2);
  expect(open.map((batch) => batch.id)).toContain(created.id);
});

it('a batch that only waits for its jobs is not looked at', async () => {
  const id = await fixture.create([chatLine('a')]);
  await fixture.moveTo(id, 'in_progress');
  await fixture.move(id);
  const looked = async () => (await findOpenClientBatches(fixture.database, 1_000)).map((batch) => batch.id);
  expect(await looked()).not.toContain(id);
  const [job] = await fixture.jobs(id);
  await fixture.complete(job!);
  expect(await looked()).toContain(id);
});
