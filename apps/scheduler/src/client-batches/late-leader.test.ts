import { acceptJobs, cancelClientBatch, giveUpClientInput } from '@millrace/ledger';
import type { Database } from '@millrace/ledger';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newJob } from '../../../../libs/ledger/src/testing/new-job.ts';
import { chatLine, openBatchFixture, tenantId } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const create = async (): Promise<string> => {
  const id = await fixture.create([chatLine('a'), chatLine('b'), chatLine('c')]);
  await fixture.moveTo(id, 'in_progress');
  return id;
};
const problem = { code: 'invalid_file', line: null, message: 'The input file is gone.', param: null };

describe('a scheduler that stood still between noting lines and committing their jobs', () => {
  const endings: Record<string, (id: string) => Promise<unknown>> = {
    'was cancelled': (id) => cancelClientBatch(fixture.database, tenantId, id),
    'lost its input': (id) => giveUpClientInput(fixture.database, id, [problem]),
  };
  for (const [what, end] of Object.entries(endings)) {
    it(`commits none of a batch that ${what} meanwhile`, async () => {
      const id = await create();
      const { database } = fixture;
      const frozen: Database = {
        ...database,
        async query(text, values) {
          if (text.includes('INSERT INTO jobs')) {
            await end(id);
            // Another one leads by now.
            await fixture.moveTo(id, 'cancelled', 'failed');
          }
          return database.query(text, values);
        },
      };
      await expect(fixture.move(id, { database: frozen })).rejects.toThrow('ended meanwhile');
      expect(await fixture.jobs(id)).toEqual([]);
    });
  }

  it('commits none while a batch is being cancelled', async () => {
    const id = await create();
    const job = newJob({ idempotencyKey: `${id}/1` });
    await fixture.database.transaction(async (transaction) => {
      await transaction.query("UPDATE client_batches SET status = 'cancelling' WHERE id = $1", [id]);
      expect(await acceptJobs(fixture.database, [job], id)).toMatchObject([{ outcome: 'in_progress' }]);
    });
    expect(await acceptJobs(fixture.database, [job], id)).toMatchObject([{ outcome: 'in_progress' }]);
    expect(await fixture.jobs(id)).toEqual([]);
  });
});
