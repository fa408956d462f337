import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseLane } from './choose-lane.ts';
import type { LaneQuestion } from './choose-lane.ts';

const HOUR = 3_600_000;
const question = (change: Partial<LaneQuestion> = {}, batch: Partial<LaneQuestion['batch']> = {}) => ({
  asked: 'auto' as const,
  timeLeftMs: 24 * HOUR,
  batch: { refusal: null, takesMs: 20 * HOUR, marginMs: HOUR / 4, ...batch },
  flex: { isAvailable: true, takesMs: HOUR / 2 },
  ...change,
});
const choose = (change?: Partial<LaneQuestion>, batch?: Partial<LaneQuestion['batch']>) =>
  chooseLane(question(change, batch));

describe('a job that leaves the lane to its deadline', () => {
  it('rides in a batch when that keeps the deadline with the margin', () => {
    expect(choose()).toEqual({ lane: 'batch', reason: 'deadline_allows', escapeAfterMs: 23.75 * HOUR });
    expect(choose({ timeLeftMs: 20.25 * HOUR }).lane).toBe('batch');
    expect(choose({ timeLeftMs: 20.25 * HOUR - 1 }).lane).toBe('flex');
  });
  it('takes flex where there is time for it, and realtime where there is none', () => {
    expect(choose({ timeLeftMs: 2 * HOUR })).toMatchObject({ lane: 'flex', reason: 'deadline_near' });
    expect(choose({ timeLeftMs: 0.5 * HOUR })).toMatchObject({ lane: 'realtime', reason: 'deadline_near' });
    const flex = { isAvailable: false, takesMs: 0 };
    expect(choose({ timeLeftMs: 2 * HOUR, flex }).lane).toBe('realtime');
  });
  it('does not wait without a deadline', () => {
    expect(choose({ timeLeftMs: null })).toMatchObject({ lane: 'realtime', reason: 'no_deadline' });
  });
  it('says why it does not ride where it could not', () => {
    const flex = { isAvailable: false, takesMs: 0 };
    for (const refusal of ['forbidden_by_route', 'no_batch_api', 'streamed', 'no_saving'] as const) {
      expect(choose({ flex }, { refusal })).toMatchObject({ lane: 'realtime', reason: refusal });
    }
  });
});

describe('a job that names the lane', () => {
  it('batch rides without a deadline until its batch ends', () => {
    expect(choose({ asked: 'batch', timeLeftMs: null })).toEqual({
      lane: 'batch',
      reason: 'asked_for',
      escapeAfterMs: null,
    });
  });
  it('batch rides at a risk that is shown, and not at all when the margin has begun', () => {
    const near = choose({ asked: 'batch', timeLeftMs: HOUR });
    expect(near).toEqual({ lane: 'batch', reason: 'deadline_at_risk', escapeAfterMs: 0.75 * HOUR });
    expect(choose({ asked: 'batch', timeLeftMs: HOUR / 8 }).lane).toBe('realtime');
  });
  it('batch rides without a saving, but not where it is forbidden', () => {
    expect(choose({ asked: 'batch' }, { refusal: 'no_saving' }).lane).toBe('batch');
    expect(choose({ asked: 'batch' }, { refusal: 'forbidden_by_tenant' }).lane).toBe('realtime');
  });
  it('realtime never waits', () => {
    expect(choose({ asked: 'realtime' })).toMatchObject({ lane: 'realtime', reason: 'asked_for' });
  });
});

it('whatever is asked, nothing stays in a batch beyond the margin before its deadline', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('auto' as const, 'batch' as const),
      fc.integer({ min: 1, max: 100 * HOUR }),
      fc.integer({ min: 0, max: 30 * HOUR }),
      fc.integer({ min: 0, max: 5 * HOUR }),
      (asked, timeLeftMs, takesMs, marginMs) => {
        const answer = choose({ asked, timeLeftMs }, { takesMs, marginMs });
        if (answer.lane !== 'batch') return answer.escapeAfterMs === null;
        return answer.escapeAfterMs !== null && answer.escapeAfterMs === timeLeftMs - marginMs;
      },
    ),
  );
});
