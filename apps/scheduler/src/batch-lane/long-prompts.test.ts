import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';

const LINES = 24;
const PROMPT_CHARACTERS = 1_000_000;
/** A few pages of requests would be more. */
const MOST_CHARACTERS = 6_000_000;

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

/** From now on, the length of the longest result that the lane reads from the ledger. */
function measureReads(): () => number {
  const { database } = lane.ledger;
  let longest = 0;
  lane.dependencies.database = {
    ...database,
    async query<Row>(sql: string, values?: readonly unknown[]) {
      const rows = await database.query<Row>(sql, values);
      longest = Math.max(longest, JSON.stringify(rows).length);
      return rows;
    },
  };
  return () => longest;
}

it('short answers to long prompts are recorded without the prompts being in memory together', async () => {
  const jobs = await Promise.all(Array.from({ length: LINES }, () => lane.addJob()));
  await lane.ledger.database.query(
    `UPDATE steps SET request = jsonb_set(request::jsonb, '{messages,0,content}', to_jsonb(repeat('wheel ', $1)))`,
    [Math.floor(PROMPT_CHARACTERS / 6)],
  );
  await lane.collect();
  await lane.advance();
  lane.vendor.end();
  const longest = measureReads();
  await lane.advance();
  const steps = await Promise.all(jobs.map((id) => lane.ledger.step(id, 'call')));
  expect(steps.map((step) => step['status'])).toEqual(jobs.map(() => 'completed'));
  expect(longest()).toBeGreaterThan(PROMPT_CHARACTERS);
  expect(longest()).toBeLessThan(MOST_CHARACTERS);
}, 60_000);
