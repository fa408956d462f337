import { canonicalJson, planNodeSchema } from '@millrace/contracts';
import type { Json, PlanNode } from '@millrace/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { advancePlan, defaultPlanLimits } from './index.ts';
import type { Advance, RecordedStep, WantedStep } from './index.ts';

const limits = { ...defaultPlanLimits, reduceInputTokens: 24 };
const RUNS = 400;

const promptArbitrary = fc.constantFrom(
  'x',
  '{{ input }} {{ item }} {{ index }}',
  '{{ items | join: "," }}',
  '{{ steps.a }} {{ steps.b }} {{ steps.c }}',
  '{% for n in items %}{{ n }} {% endfor %}',
  '{{ input | date: "now" }}{% if steps.a == "yes" %}{{ "now" | date: "%Y" }}{% endif %}',
);
const callArbitrary = promptArbitrary.map((prompt) => ({ type: 'call', route: 'cheap', prompt }));
const nameArbitrary = fc.constantFrom('a', 'b', 'c', 'map', 'branch', 'classify', 'reduce');

const planArbitrary: fc.Arbitrary<PlanNode> = fc
  .letrec<{ node: unknown }>((tie) => {
    const node = tie('node');
    const named = fc.uniqueArray(fc.tuple(nameArbitrary, node), {
      minLength: 1,
      maxLength: 3,
      selector: ([name]) => name,
    });
    const join = fc.oneof(
      fc.constantFrom('all', 'first_valid', 'vote'),
      node.map((judge) => ({ judge })),
    );
    return {
      node: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        callArbitrary,
        named.map((steps) => ({
          type: 'chain',
          steps: steps.map(([name, step]) => ({ ...(step as object), name })),
        })),
        fc.tuple(node, named, fc.option(node, { nil: undefined })).map(([classify, routes, otherwise]) => ({
          type: 'router',
          classify,
          routes: Object.fromEntries(routes),
          ...(otherwise === undefined ? {} : { default: otherwise }),
        })),
        fc
          .tuple(named, join)
          .map(([branches, how]) => ({ type: 'fan_out', branches: Object.fromEntries(branches), join: how })),
        fc
          .tuple(fc.integer({ min: 1, max: 3 }), node, join)
          .map(([count, each, how]) => ({ type: 'fan_out', count, node: each, join: how })),
        fc
          .tuple(
            fc.oneof(
              fc.array(fc.constantFrom('p', 'q', 1), { minLength: 1, maxLength: 4 }),
              fc.constantFrom({ from: 'input.list' }, { from: 'steps.a' }, { from: 'item' }),
            ),
            node,
            fc.option(node, { nil: undefined }),
          )
          .map(([items, map, reduce]) => ({
            type: 'map_reduce',
            items,
            map,
            ...(reduce === undefined ? {} : { reduce }),
          })),
      ),
    };
  })
  .node.map((plan) => planNodeSchema.parse(plan));

const outputArbitrary: fc.Arbitrary<Json> = fc.constantFrom<Json>(
  'a',
  'b',
  'yes',
  'The label is C.',
  { label: 'map' },
  ['u', 'v'],
  ['u', 'v', 'w'],
  [],
  'a note of some length that takes ten tokens or so',
  null,
);

/** What happens to the job: which open step ends next, and how. */
const eventArbitrary = fc.record({
  pick: fc.nat(),
  output: outputArbitrary,
  fails: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
  /** Whether a step that the plan has abandoned ends all the same, because the cancel came too late. */
  ignoresCancel: fc.boolean(),
});
const eventsArbitrary = fc.array(eventArbitrary, { minLength: 1, maxLength: 12 });
type Event = typeof eventArbitrary extends fc.Arbitrary<infer Value> ? Value : never;

const advanceWith = (plan: PlanNode, steps: ReadonlyMap<string, RecordedStep>) =>
  advancePlan({ plan, input: { list: ['m', 'n'] }, params: {}, steps, limits });

interface Observation {
  /** How many steps had ended. */
  endings: number;
  advance: Advance;
  /** What the plan waited for: the keys of the open steps that were not abandoned. */
  awaited: string[];
}

/** What the worker knows when a step has ended. */
interface Ending {
  ended: RecordedStep;
  step: WantedStep;
  /** Steps that are still open and wanted. */
  open: WantedStep[];
  abandoned: ReadonlySet<string>;
  steps: ReadonlyMap<string, RecordedStep>;
}

function endStep(step: RecordedStep, event: Event, ordinal: number): RecordedStep {
  if (!event.fails) return { ...step, status: 'completed', output: event.output, ordinal };
  return { ...step, status: 'failed', error: { code: 'retries_exhausted', message: 'x' }, ordinal };
}

/**
 * Runs a plan to its end as a worker would. `shouldAdvance` decides after each ending whether the worker looks at the job.
 */
async function runToEnd(
  plan: PlanNode,
  events: Event[],
  shouldAdvance: (ending: Ending) => Promise<boolean>,
) {
  const steps = new Map<string, RecordedStep>();
  const wanted = new Map<string, WantedStep>();
  const observations: Observation[] = [];
  const abandoned = new Set<string>();
  let ordinal = 0;
  let turn = 0;

  for (;;) {
    const advance = await advanceWith(plan, steps);
    if (advance.kind === 'suspended') {
      for (const step of advance.wanted) {
        expect(wanted.has(step.key), `${step.key} was asked for twice`).toBe(false);
        wanted.set(step.key, step);
        steps.set(step.key, { key: step.key, status: 'open', output: null, error: null, ordinal: null });
      }
    }
    for (const key of advance.abandoned) abandoned.add(key);
    const awaited = [...steps.values()]
      .filter((step) => step.status === 'open' && !advance.abandoned.includes(step.key))
      .map((step) => step.key);
    observations.push({ endings: ordinal, advance, awaited });
    if (advance.kind !== 'suspended') return { steps, wanted, observations, final: advance, abandoned };
    expect(awaited.length, 'a suspended plan waits for something').toBeGreaterThan(0);

    for (let looks = false; !looks;) {
      const event = events[turn % events.length]!;
      turn += 1;
      const open = [...steps.values()].filter(
        (step) => step.status === 'open' && (event.ignoresCancel || !abandoned.has(step.key)),
      );
      const step = open[event.pick % open.length]!;
      ordinal += 1;
      const ended = endStep(step, event, ordinal);
      steps.set(step.key, ended);
      const stillOpen = [...wanted.values()].filter(
        (each) => steps.get(each.key)?.status === 'open' && !abandoned.has(each.key),
      );
      looks = await shouldAdvance({ ended, step: wanted.get(step.key)!, open: stillOpen, abandoned, steps });
    }
  }
}

const always = async () => true;

/** What the ledger had after the first `endings` ends; what was open then is left out. */
function prefixOf(steps: ReadonlyMap<string, RecordedStep>, endings: number): Map<string, RecordedStep> {
  return new Map([...steps].filter(([, step]) => step.ordinal !== null && step.ordinal <= endings));
}

test('replaying any prefix of the recorded steps asks for the same steps and reaches the same result', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, eventsArbitrary, async (plan, events) => {
      const { steps, wanted, observations } = await runToEnd(plan, events, always);
      for (const { endings, advance, awaited } of observations) {
        const replay = await advanceWith(plan, prefixOf(steps, endings));
        expect(replay.kind).toBe(advance.kind);
        if (replay.kind !== 'suspended') {
          expect(canonicalJson(replay as unknown as Json)).toBe(
            canonicalJson({ ...advance, abandoned: [] } as unknown as Json),
          );
          continue;
        }
        expect(replay.wanted.map((step) => step.key).sort()).toEqual([...awaited].sort());
        for (const step of replay.wanted) expect(step).toEqual(wanted.get(step.key));
      }
    }),
    { numRuns: RUNS },
  );
});

test('steps that end after the job was decided never change what was decided', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, eventsArbitrary, eventsArbitrary, async (plan, events, lateEvents) => {
      const { steps, final } = await runToEnd(plan, events, always);
      let ordinal = 10_000;
      for (const [key, step] of steps) {
        if (step.status !== 'open') continue;
        ordinal += 1;
        steps.set(key, endStep(step, lateEvents[ordinal % lateEvents.length]!, ordinal));
      }
      expect(await advanceWith(plan, steps)).toEqual({ ...final, abandoned: [] });
    }),
    { numRuns: RUNS },
  );
});

test('a worker that looks only at eager steps, failures and the last open step carries every plan to an end', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, eventsArbitrary, async (plan, events) => {
      const { steps, final } = await runToEnd(
        plan,
        events,
        async ({ ended, step, open }) => ended.status === 'failed' || open.length === 0 || step.eager,
      );
      expect(await advanceWith(plan, prefixOf(steps, Infinity))).toEqual({ ...final, abandoned: [] });
    }),
    { numRuns: RUNS },
  );
});

test('while a step of a barrier is open, the end of another of the same barrier carries the plan no further', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, eventsArbitrary, async (plan, events) => {
      await runToEnd(plan, events, async ({ ended, step, open, abandoned, steps }) => {
        if (ended.status === 'failed' || step.eager || open.length === 0) return true;
        if (!open.some((each) => each.barrier === step.barrier)) return true;
        const advance = await advanceWith(plan, steps);
        if (advance.kind !== 'suspended') throw new Error(`${ended.key} was the end of the plan`);
        expect(advance.wanted).toEqual([]);
        expect(advance.abandoned.filter((key) => !abandoned.has(key))).toEqual([]);
        return false;
      });
    }),
    { numRuns: RUNS },
  );
});

test('step keys are unique, ASCII and independent of the order in which steps end', async () => {
  await fc.assert(
    fc.asyncProperty(planArbitrary, eventsArbitrary, async (plan, events) => {
      const { wanted } = await runToEnd(plan, events, always);
      for (const key of wanted.keys()) expect(key).toMatch(/^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+|\[\d+\])*$/);
    }),
    { numRuns: 100 },
  );
});
