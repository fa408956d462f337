import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestLane, target } from './testing/open-test-lane.ts';
import type { TestLane } from './testing/open-test-lane.ts';

let lane: TestLane;
beforeEach(async () => {
  lane = await openTestLane();
});
afterEach(() => lane.close());

/** Stores a request in another way than this version writes it. */
const change = (jobId: string, part: object) =>
  lane.ledger.database.query('UPDATE steps SET request = request::jsonb || $2::jsonb WHERE job_id = $1', [
    jobId,
    JSON.stringify(part),
  ]);
const without = (jobId: string, field: string) =>
  lane.ledger.database.query('UPDATE steps SET request = request::jsonb - $2::text WHERE job_id = $1', [
    jobId,
    field,
  ]);
const statusOf = async (jobId: string) => (await lane.ledger.step(jobId, 'call'))['status'];

describe('a collected step of a newer version', () => {
  it('stays where it is, and keeps no other one of its kind waiting', async () => {
    // As many as one look takes.
    lane.dependencies.settings.maxLines = 1;
    const newer = await lane.addJob();
    await change(newer, { tools: [] });
    const known = await lane.addJob();
    await lane.collect();
    expect(await statusOf(newer)).toBe('collected');
    expect(await statusOf(known)).toBe('sent');
    await lane.advance();
    expect(lane.vendor.batches.map((batch) => batch.customIds.length)).toEqual([1]);
    expect(lane.heard.steps).toEqual([]);
    expect(lane.heard.errors).toEqual([]);
  });

  it('is collected by a leader that can read it', async () => {
    const newer = await lane.addJob();
    await change(newer, { tools: [] });
    await lane.collect();
    expect(await lane.batches()).toEqual([]);
    await without(newer, 'tools');
    await lane.collect();
    expect(await statusOf(newer)).toBe('sent');
  });
});

describe('a collected step that cannot be read at all', () => {
  it('leaves the lane for its own error, and keeps no other one waiting', async () => {
    const broken = await lane.addJob();
    await change(broken, { messages: 'none' });
    const sound = await lane.addJob();
    await lane.collect();
    expect(await lane.ledger.step(broken, 'call')).toMatchObject({
      status: 'pending',
      lane: 'realtime',
      lane_reason: 'unreadable',
    });
    expect(lane.heard.steps).toEqual([`${broken} call`]);
    expect(await statusOf(sound)).toBe('sent');
  });
});

describe('a batch that a newer leader has gathered', () => {
  it('is not sent by one that would leave something out', async () => {
    const [job] = [await lane.addJob(), await lane.addJob()];
    await lane.collect();
    await change(job, { tools: [] });
    for (let look = 0; look < 4; look += 1) await lane.advance();
    expect(lane.vendor.batches).toEqual([]);
    expect(lane.heard.errors.map(String)).toContain(
      `Error: step ${job}/call: a newer version asks for request.tools`,
    );
    await without(job, 'tools');
    for (let look = 0; look < 3; look += 1) await lane.advance();
    expect(lane.vendor.batches.map((batch) => batch.customIds.length)).toEqual([2]);
  });
});

describe('trouble with one target', () => {
  const other = 'openai/gpt-6-sol';

  for (const [bad, good] of [
    [target, other],
    [other, target],
  ]) {
    it(`keeps no other one waiting: ${bad}`, async () => {
      const jobs = new Map<string | undefined, string>();
      for (const each of [bad, good]) {
        const jobId = await lane.addJob();
        await lane.ledger.database.query('UPDATE steps SET target = $2 WHERE job_id = $1', [jobId, each]);
        jobs.set(each, jobId);
      }
      lane.vendor.refuse = (call) => {
        if (bad?.endsWith(call.model)) throw new Error('it cannot be looked at');
        return null;
      };
      await lane.collect();
      expect(await statusOf(jobs.get(bad)!)).toBe('collected');
      expect(await statusOf(jobs.get(good)!)).toBe('sent');
      expect(lane.heard.errors.map(String)).toEqual(['Error: it cannot be looked at']);
    });
  }
});
