import { noUsage } from '@millrace/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkLedger } from '../../../../libs/ledger/src/testing/check-ledger.ts';
import { openTestLane } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';
import { answered, refusal } from './testing/scripted-vendor.ts';

/** 100 × 0.10 + 50 × 0.50 USD per million, halved. */
const HALF_PRICE = 18;

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(async () => {
  expect(await checkLedger(lane.ledger.database)).toEqual([]);
  await lane.close();
});

async function throughBatch(): Promise<void> {
  await lane.collect();
  await lane.advance();
  lane.vendor.end();
  await lane.advance();
}

describe('a line that failed and was billed', () => {
  it('costs half also where its vectors cannot be used', async () => {
    const job = await lane.addJob(['call'], {}, { shape: 'embed.a-shape' });
    await lane.ledger.database.query(
      `UPDATE steps SET request = jsonb_set(request::jsonb, '{embedding}', '{"dimensions":8,"encoding":"base64","single":false}')`,
    );
    lane.vendor.answer = (customId) => answered(customId);
    await throughBatch();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ status: 'pending', lane: 'realtime' });
    expect(await lane.ledger.job(job)).toMatchObject({ cost_micro_usd: HALF_PRICE });
  });

  it('costs half also where the vendor ended it with an error', async () => {
    const job = await lane.addJob();
    const usage = { ...noUsage, inputTokens: 100, outputTokens: 50 };
    lane.vendor.answer = (customId) => ({ customId, kind: 'error', error: refusal({ usage }) });
    await throughBatch();
    expect(await lane.ledger.step(job, 'call')).toMatchObject({ status: 'failed' });
    expect(await lane.ledger.job(job)).toMatchObject({ cost_micro_usd: HALF_PRICE });
  });
});
