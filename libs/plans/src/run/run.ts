import type { PlanNode, StepRequest } from '@millrace/contracts';
import { runCall } from '../nodes/call.ts';
import { runChain } from '../nodes/chain.ts';
import { runEmbed } from '../nodes/embed.ts';
import { runFanOut } from '../nodes/fan-out.ts';
import { runMapReduce } from '../nodes/map-reduce.ts';
import { runRouter } from '../nodes/router.ts';
import type { PlanLimits } from '../plan-limits.ts';
import { createTemplateEngine } from '../templates/template-engine.ts';
import type { TemplateEngine } from '../templates/template-engine.ts';
import type { SplitCache } from '../tokens/split-cache.ts';
import { NodeFailed, PlanAborted, suspend } from './signals.ts';
import type { Scope } from './scope.ts';
import type { RecordedStep, Settled } from './step.ts';

/** Where a node stands. */
export interface Place {
  /** Path of the node, '' for the root; see step-keys.ts. */
  path: string;
  scope: Scope;
  /** The largest ordinal among the steps that had to end before this node could begin. */
  after: number;
  /** Path of the innermost node that waits for this one and its siblings together, null when none does. */
  barrier: string | null;
}

/** One run of a plan: what a node needs to know and may do. Its only effect is {@link Run.step}. */
export interface Run {
  readonly limits: PlanLimits;
  readonly templates: TemplateEngine;
  readonly splits: SplitCache | undefined;
  /** Runs any node at a place. Rejects with Suspended while it waits, with NodeFailed when it failed. */
  node(node: PlanNode, place: Place): Promise<Settled>;
  /** The result of the step `key`; `makeRequest` is called only when the ledger does not have the step. */
  step(key: string, place: Place, makeRequest: () => StepRequest): Promise<Settled>;
  /** Whether the ledger has the step. */
  isRecorded(key: string): boolean;
  /** How sure the answer of a recorded step was: its mean log probability; null where that is not known. */
  meanLogprobOf(key: string): number | null;
}

/** Begins a run over the recorded steps. */
export function createRun(
  steps: ReadonlyMap<string, RecordedStep>,
  limits: PlanLimits,
  splits: SplitCache | undefined,
): Run {
  let asked = 0;
  let rendered = 0;
  const run: Run = {
    limits,
    templates: createTemplateEngine(limits),
    splits,
    node: (node, place) => runNode(run, node, place),
    isRecorded: (key) => steps.has(key),
    meanLogprobOf: (key) => steps.get(key)?.meanLogprob ?? null,
    async step(key, place, makeRequest) {
      asked += 1;
      if (asked > limits.maxSteps) {
        throw new PlanAborted(`The plan asks for more than ${limits.maxSteps} steps.`);
      }
      const recorded = steps.get(key);
      if (recorded === undefined) {
        const { barrier } = place;
        const request = makeRequest();
        rendered += requestCharacters(request);
        if (rendered > limits.maxRenderedCharacters) {
          throw new PlanAborted(
            `The plan's prompts exceed ${limits.maxRenderedCharacters} characters in all.`,
          );
        }
        return suspend([{ key, request, eager: barrier === null, barrier }]);
      }
      return readRecorded(recorded, place.after);
    },
  };
  return run;
}

function requestCharacters(request: StepRequest): number {
  let characters = request.system?.length ?? 0;
  for (const message of request.messages) characters += message.content.length;
  return characters;
}

function readRecorded(step: RecordedStep, after: number): Settled {
  const ordinal = Math.max(after, step.ordinal ?? 0);
  switch (step.status) {
    case 'open':
      return suspend([step.key]);
    case 'failed': {
      const error = step.error ?? { code: 'internal_error', message: 'The step failed without an error.' };
      throw new NodeFailed({ ...error, step: step.key }, ordinal);
    }
    case 'completed':
      return { output: step.output, ordinal };
  }
}

function runNode(run: Run, node: PlanNode, place: Place): Promise<Settled> {
  switch (node.type) {
    case 'call':
      return runCall(run, node, place);
    case 'chain':
      return runChain(run, node, place);
    case 'router':
      return runRouter(run, node, place);
    case 'fan_out':
      return runFanOut(run, node, place);
    case 'map_reduce':
      return runMapReduce(run, node, place);
    case 'embed':
      return runEmbed(run, node, place);
  }
}
