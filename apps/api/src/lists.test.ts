import type { Problem } from '@millrace/contracts';
import { waitFor } from '@millrace/test-support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callBody, startTestApi } from './testing/start-test-api.ts';
import type { TestApi } from './testing/start-test-api.ts';

let api: TestApi;
let key: string;
beforeAll(async () => {
  api = await startTestApi();
  key = await api.createKey('acme', 'jobs', 'admin');
});
afterAll(() => api.stop());

const WAITING = `
SELECT count(*)::int AS count FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'millrace-api-lists' AND wait_event_type = 'Lock'`;

/** Asks for three lists while nobody may read `tables`; does `meanwhile` when each waits on a connection for lists. */
async function askWhileLocked(
  tables: string,
  paths: readonly [string, string, string],
  meanwhile: () => Promise<void>,
): Promise<number[]> {
  let answers: Promise<{ status: number }>[] = [];
  await api.database.transaction(async (transaction) => {
    await transaction.query(`LOCK TABLE ${tables} IN ACCESS EXCLUSIVE MODE`);
    answers = paths.map((path) => api.send(key, 'GET', path));
    const allWait = async () => (await api.database.query<{ count: number }>(WAITING))[0]?.count === 3;
    await waitFor(allWait, { what: 'the lists to wait' });
    await meanwhile();
  });
  return (await Promise.all(answers)).map(({ status }) => status);
}

test('lists of files, webhook endpoints and deliveries use connections of their own', async () => {
  const paths = ['/v1/files', '/v1/webhook_endpoints', '/v1/webhook_deliveries'] as const;
  const tables = 'client_files, webhook_endpoints, webhook_deliveries';
  expect(await askWhileLocked(tables, paths, async () => {})).toEqual([200, 200, 200]);
});

test('what is counted waits for no list', async () => {
  const paths = ['/v1/files', '/v1/files', '/v1/files'] as const;
  const statuses = await askWhileLocked('client_files', paths, async () => {
    expect((await api.send(key, 'GET', '/internal/scaling')).status).toBe(200);
    const { text } = await api.send(null, 'GET', '/metrics');
    expect(/^millrace_webhook_deliveries_pending\S* (\S+)$/m.exec(text)?.[1]).toBe('0');
  });
  expect(statuses).toEqual([200, 200, 200]);
});

test('a list of steps does not begin after one that is not there', async () => {
  const { body: job } = await api.submit(key, callBody);
  const after = encodeURIComponent('map[3');
  const answer = await api.send<Problem>(key, 'GET', `/v1/jobs/${job.id}/steps?after=${after}`);
  expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  expect(answer.body.errors).toEqual([{ path: 'after', message: 'the job has no such step' }]);
});
