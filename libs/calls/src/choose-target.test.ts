import { overlayRoutes } from '@millrace/config';
import type { RouteConfig } from '@millrace/config';
import type { RouteOverride } from '@millrace/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseTarget } from './choose-target.ts';
import type { TargetView } from './choose-target.ts';
import { splitTarget } from './split-target.ts';

const cheap: RouteConfig = {
  targets: [
    { target: 'openai/a', weight: 3 },
    { target: 'anthropic/b', weight: 1 },
  ],
  fallback: ['local/c', 'openai/d'],
  degraded: { kind: 'wait' },
};
const table = (overrides: RouteOverride[] = []) => overlayRoutes(new Map([['cheap', cheap]]), overrides);
const onCheap = { route: 'cheap', model: null };
const fine: TargetView = { usable: true, breaker: 'closed', expectedWaitMs: 0 };
const allFine = () => fine;
const except = (views: Record<string, Partial<TargetView>>) => (target: string) => ({
  ...fine,
  ...views[target],
});
const all = ['openai/a', 'anthropic/b', 'local/c', 'openai/d'];

describe('chooseTarget', () => {
  it('draws by weight', () => {
    expect(chooseTarget(onCheap, table(), [], allFine, 0.74)?.target).toBe('openai/a');
    expect(chooseTarget(onCheap, table(), [], allFine, 0.76)?.target).toBe('anthropic/b');
  });

  it('goes through what is left of the targets, then through the fallbacks in order', () => {
    const after = (...spent: string[]) => chooseTarget(onCheap, table(), spent, allFine, 0)?.target;
    expect(after('openai/a')).toBe('anthropic/b');
    expect(after('openai/a', 'anthropic/b')).toBe('local/c');
    expect(after('openai/a', 'anthropic/b', 'local/c')).toBe('openai/d');
    expect(after(...all)).toBeUndefined();
  });

  it('has one target for a model, and none after that was given up', () => {
    const model = { route: null, model: 'openai/x' };
    expect(chooseTarget(model, table(), [], allFine, 0)).toEqual({ kind: 'healthy', target: 'openai/x' });
    expect(chooseTarget(model, table(), ['openai/x'], allFine, 0)).toBeNull();
    const off = table([{ route: null, target: 'openai/x', weight: null, enabled: false }]);
    expect(chooseTarget(model, off, [], allFine, 0)).toEqual({ kind: 'down', target: 'openai/x' });
  });

  it('passes over targets whose provider cannot be called', () => {
    const look = (target: string) => ({ ...fine, usable: target.startsWith('local/') });
    expect(chooseTarget(onCheap, table(), [], look, 0)?.target).toBe('local/c');
  });

  it('knows models with slashes in their names', () => {
    expect(splitTarget('local/org/model')).toEqual({ provider: 'local', model: 'org/model' });
  });

  it('passes over targets whose breaker is open, and says when none is left', () => {
    const open = { breaker: 'open' } as const;
    const look = except({ 'openai/a': open, 'anthropic/b': open });
    expect(chooseTarget(onCheap, table(), [], look, 0.5)).toEqual({ kind: 'healthy', target: 'local/c' });
    const none = chooseTarget(onCheap, table(), [], () => ({ ...fine, ...open }), 0.5);
    expect(none).toEqual({ kind: 'down', target: 'openai/a' });
  });

  it('lets a tenth of the calls find out whether a target is back', () => {
    const look = except({ 'openai/a': { breaker: 'half_open' } });
    expect(chooseTarget(onCheap, table(), [], look, 0.09)?.target).toBe('openai/a');
    expect(chooseTarget(onCheap, table(), [], look, 0.11)?.target).toBe('anthropic/b');
  });

  it('obeys weights and switches that were set at run time', () => {
    const swapped = table([
      { route: 'cheap', target: 'openai/a', weight: 1, enabled: null },
      { route: 'cheap', target: 'anthropic/b', weight: 3, enabled: null },
    ]);
    expect(chooseTarget(onCheap, swapped, [], allFine, 0.26)?.target).toBe('anthropic/b');
    const off = table([{ route: 'cheap', target: 'openai/a', weight: null, enabled: false }]);
    expect(chooseTarget(onCheap, off, [], allFine, 0)?.target).toBe('anthropic/b');
    const last = table([{ route: 'cheap', target: 'openai/a', weight: 0, enabled: null }]);
    expect(chooseTarget(onCheap, last, [], allFine, 0)?.target).toBe('anthropic/b');
    expect(chooseTarget(onCheap, last, ['anthropic/b'], allFine, 0)?.target).toBe('openai/a');
  });

  it('uses up the limits of all targets: the slow one gets what it can serve, no more', () => {
    // Ten calls a second at the one, one a second at the other, and a backlog of both that nobody works off meanwhile.
    const placed = { 'openai/a': 0, 'anthropic/b': 0 };
    const msPerCall = { 'openai/a': 100, 'anthropic/b': 1_000 };
    const look = (target: string): TargetView => {
      const known = target as keyof typeof placed;
      return { ...fine, expectedWaitMs: (placed[known] ?? 0) * (msPerCall[known] ?? 0) };
    };
    let seed = 1;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let call = 0; call < 11_000; call += 1) {
      const target = chooseTarget(onCheap, table(), [], look, random())?.target as keyof typeof placed;
      placed[target] += 1;
    }
    const waits = [placed['openai/a'] * 100, placed['anthropic/b'] * 1_000];
    expect(Math.abs(waits[0]! - waits[1]!)).toBeLessThan(60_000);
    expect(Math.max(...waits)).toBeLessThan(1.06 * 1_000_000);
  });
});

const viewArbitrary = fc.record({
  usable: fc.boolean(),
  breaker: fc.constantFrom('closed', 'open', 'half_open'),
  expectedWaitMs: fc.double({ min: 0, max: 1e7, noNaN: true }),
});
const situation = fc.record({
  views: fc.tuple(viewArbitrary, viewArbitrary, viewArbitrary, viewArbitrary),
  spent: fc.subarray(all),
  off: fc.subarray(all),
  offHere: fc.subarray(all),
  weights: fc.tuple(
    fc.double({ min: 0, max: 100, noNaN: true }),
    fc.double({ min: 0, max: 100, noNaN: true }),
  ),
  random: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
});

describe('whatever the situation, chooseTarget', () => {
  const pickIn = (given: typeof situation extends fc.Arbitrary<infer Given> ? Given : never) => {
    const { views, spent, off, offHere, weights, random } = given;
    const look = (target: string): TargetView => views[all.indexOf(target)]!;
    const overrides: RouteOverride[] = [
      ...off.map((target) => ({ route: null, target, weight: null, enabled: false })),
      ...all.map((target, index) => ({
        route: 'cheap',
        target,
        weight: weights[index] ?? null,
        enabled: offHere.includes(target) ? false : null,
      })),
    ];
    const pick = chooseTarget(onCheap, table(overrides), spent, look, random);
    const left = all.filter((target) => !spent.includes(target) && look(target).usable);
    const on = left.filter((target) => !off.includes(target) && !offHere.includes(target));
    const healthy = on.filter((target) => look(target).breaker !== 'open');
    return { pick, left, healthy, look };
  };

  it('gives a target that can be called whenever there is one, and never one that cannot', () => {
    fc.assert(
      fc.property(situation, (given) => {
        const { pick, left, healthy } = pickIn(given);
        if (left.length === 0) return pick === null;
        if (healthy.length === 0) return pick?.kind === 'down' && left.includes(pick.target);
        return pick?.kind === 'healthy' && healthy.includes(pick.target);
      }),
    );
  });

  it('sends more than a tenth of the calls to a closed target while there is one', () => {
    fc.assert(
      fc.property(situation, (given) => {
        fc.pre(given.random >= 0.1);
        const { pick, healthy, look } = pickIn(given);
        const closed = healthy.filter((target) => look(target).breaker === 'closed');
        return closed.length === 0 || (pick !== null && closed.includes(pick.target));
      }),
    );
  });

  it('decides the same from the same', () => {
    fc.assert(
      fc.property(situation, (given) => {
        expect(pickIn(given).pick).toEqual(pickIn(given).pick);
      }),
    );
  });

  it('never gives a target a smaller share because it waits less', () => {
    const share = (waitMs: number): number => {
      const look = except({
        'openai/a': { expectedWaitMs: waitMs },
        'anthropic/b': { expectedWaitMs: 2_000 },
      });
      const draws = Array.from({ length: 200 }, (_, index) => (index + 0.5) / 200);
      return draws.filter((random) => chooseTarget(onCheap, table(), [], look, random)?.target === 'openai/a')
        .length;
    };
    const wait = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(fc.property(wait, wait, (one, two) => share(Math.min(one, two)) >= share(Math.max(one, two))));
  });
});
