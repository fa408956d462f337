import { chooseLane, shapeOf, splitTarget } from '@millrace/calls';
import type { BatchRefusal } from '@millrace/calls';
import type { RouteConfig } from '@millrace/config';
import type { StepRequest } from '@millrace/contracts';
import type { JobState, KnownDurations, Placement } from '@millrace/ledger';
import { quoteLanes } from '@millrace/providers';
import type { PriceCatalogue, Provider } from '@millrace/providers';

export interface LanePlacerOptions {
  durations: KnownDurations;
  providers: ReadonlyMap<string, Provider>;
  /** Names of the providers that have a batch API. */
  batching: ReadonlySet<string>;
  catalogue: PriceCatalogue;
  routes: ReadonlyMap<string, RouteConfig>;
  /** How long a step may wait for others before its batch is submitted, and between two looks at it. */
  collectAgeMs: number;
  marginMs: number;
  callTimeoutMs: number;
  now: () => number;
}

/** Chooses the lanes of steps, by what the ledger knows of past batches. */
export interface LanePlacer {
  /** Must have been awaited lately before lanes are chosen for this job; asks the ledger every ten seconds at most. */
  prepare(job: Pick<JobState, 'lane' | 'deadlineAt'>): Promise<void>;
  place(
    job: Pick<JobState, 'lane' | 'deadlineAt' | 'batchAllowed'>,
    request: StepRequest,
    target: string,
  ): Placement;
}

/** Flex answers slowly, and a call that it does not answer is made once more. */
const FLEX_CALLS = 3;

/** Knows nothing of past batches before the first `prepare`; until then a batch is taken to last most of a day. */
export function createLanePlacer(options: LanePlacerOptions): LanePlacer {
  const { durations, now } = options;
  return {
    async prepare({ lane, deadlineAt }) {
      const mayWait = lane === 'batch' || (lane === 'auto' && deadlineAt !== null);
      if (mayWait) await durations.refresh();
    },
    place(job, request, target) {
      const saves = savings(options, target);
      const at = now();
      const { lane, reason, escapeAfterMs } = chooseLane({
        asked: job.lane,
        timeLeftMs: job.deadlineAt === null ? null : job.deadlineAt - at,
        batch: {
          refusal: refusalOf(options, job, request, target, saves.batch),
          takesMs: durations.expectedMs(target) + 2 * options.collectAgeMs,
          marginMs: durations.marginMs(target, options.marginMs),
        },
        flex: { isAvailable: saves.flex, takesMs: FLEX_CALLS * options.callTimeoutMs },
      });
      const escapeAt = escapeAfterMs === null ? null : at + escapeAfterMs;
      return { lane, reason, escapeAt, shape: lane === 'batch' ? shapeOf(request) : null };
    },
  };
}

function refusalOf(
  { routes, batching }: LanePlacerOptions,
  job: Pick<JobState, 'lane' | 'batchAllowed'>,
  request: StepRequest,
  target: string,
  saves: boolean,
): BatchRefusal | null {
  if (!job.batchAllowed) return 'forbidden_by_tenant';
  if (routes.get(request.route ?? '')?.batch === false) return 'forbidden_by_route';
  if (!batching.has(splitTarget(target).provider)) return 'no_batch_api';
  if (request.stream && job.lane === 'auto') return 'streamed';
  return saves ? null : 'no_saving';
}

/** Which lanes are cheaper than realtime at a target; by any size of call, since the factor is the same for all. */
function savings(
  { providers, catalogue, now }: LanePlacerOptions,
  target: string,
): { batch: boolean; flex: boolean } {
  const { provider: name, model } = splitTarget(target);
  const kind = providers.get(name)?.kind;
  if (kind === undefined) return { batch: false, flex: false };
  const size = { inputTokens: 1_000_000, outputTokens: 1_000_000, at: new Date(now()) };
  const quote = quoteLanes(catalogue, { kind, provider: name, model, ...size });
  const isCheaper = (microUsd: number | null) =>
    quote !== null && microUsd !== null && microUsd < quote.realtime;
  return {
    batch: isCheaper(quote?.batch ?? null),
    flex: kind === 'openai' && isCheaper(quote?.flex ?? null),
  };
}
