export { chooseLane } from './choose-lane.ts';
export type { BatchRefusal, LaneAnswer, LaneQuestion } from './choose-lane.ts';
export { chooseTarget } from './choose-target.ts';
export type { ChosenTarget, TargetChoice, TargetView } from './choose-target.ts';
export { createBatchPorts } from './create-batch-ports.ts';
export { createProviders, isListed } from './create-providers.ts';
export { decideOutcome, longWaitMs } from './decide-outcome.ts';
export type {
  AbortReason,
  Happening,
  LastResort,
  Outcome,
  OutcomePolicy,
  Situation,
} from './decide-outcome.ts';
export { judgeAnswer, judgeError } from './judge-call.ts';
export type { CallContext, JudgedCall } from './judge-call.ts';
export { prepareCall } from './prepare-call.ts';
export type { PreparedCall, PrepareOptions } from './prepare-call.ts';
export { hashRequest } from './hash-request.ts';
export { createRouteTable } from './route-table.ts';
export type { RouteTable } from './route-table.ts';
export { splitTarget } from './split-target.ts';
export { toStepOutcome } from './to-step-outcome.ts';
export { shapeOf } from './shape-of.ts';
