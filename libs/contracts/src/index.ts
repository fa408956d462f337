export { parseDurationMs, parseDeadlineAt } from './duration.ts';
export { errorCatalogue, isErrorCode } from './error-catalogue.ts';
export type { ErrorCode, HttpErrorCode } from './error-catalogue.ts';
export {
  lifecycleEventTypes,
  isTerminalEvent,
  toSequenceNumber,
  parseSequenceNumber,
  comparePositions,
  jobEventSchema,
  stepDeltaSchema,
  cancelNoticeSchema,
  sseEventSchema,
} from './events.ts';
export type { LifecycleEventType, JobEventType, EventPosition, JobEvent, StepDelta } from './events.ts';
export { idPrefixes, createId, isId } from './ids.ts';
export type { IdKind } from './ids.ts';
export {
  jobStatuses,
  terminalJobStatuses,
  isTerminal,
  priorities,
  lanes,
  latePolicies,
  webhookEventTypes,
  jobRequestSchema,
  splitJobRequest,
  jobErrorSchema,
  jobObjectSchema,
  listSchema,
  resolveRequestSchema,
} from './job.ts';
export type {
  JobStatus,
  TerminalJobStatus,
  Priority,
  LaneChoice,
  LatePolicy,
  WebhookEventType,
  JobRequest,
  JobOptions,
  JobError,
  JobObject,
} from './job.ts';
export { jsonSchema, canonicalJson } from './json.ts';
export type { Json } from './json.ts';
export { defaultRequestLimits } from './limits.ts';
export type { RequestLimits } from './limits.ts';
export { formatUsd, parseUsd } from './money.ts';
export type { MicroUsd } from './money.ts';
export { orLate } from './or-late.ts';
export { messageSchema, joinSchema, planNodeSchema, planNodeShapes } from './plan.ts';
export type {
  CallNode,
  EmbedNode,
  Escalation,
  ChainNode,
  RouterNode,
  FanOutNode,
  MapReduceNode,
  PlanNode,
  ChainStep,
} from './plan.ts';
export { ProblemError, problemSchema } from './problem.ts';
export type { ProblemDetail, Problem } from './problem.ts';
export { isPublicAddress } from './public-address.ts';
export { TerminalError, RetryableError } from './retry.ts';
export type { CallFailure } from './retry.ts';
export {
  routeChangeSchema,
  routeObjectSchema,
  routePatchSchema,
  targetObjectSchema,
  targetPatchSchema,
} from './routing.ts';
export type { RouteChangeObject, RouteObject, RouteOverride, TargetObject } from './routing.ts';
export { bottlenecks, scalingPlanSchema, workerSignSchema } from './scaling-plan.ts';
export type { Bottleneck, PoolPlan, ScalingPlan, WorkerSign } from './scaling-plan.ts';
export { scopes, parseApiKey } from './scopes.ts';
export type { Scope } from './scopes.ts';
export type { Service } from './service.ts';
export {
  degradations,
  stepRequestSchema,
  stepStatuses,
  stepLanes,
  attemptObjectSchema,
  stepObjectSchema,
  vectorShapeMark,
} from './step.ts';
export type { Degradation, StepRequest, StepStatus, Lane, AttemptObject, StepObject } from './step.ts';
export { noUsage, usageSchema } from './usage.ts';
export type { TokenUsage } from './usage.ts';
export { jobWakeSchema, stepWakeSchema, deliveryWakeSchema } from './wake.ts';
export type { Charge, JobWake, StepWake, DeliveryWake } from './wake.ts';
export { findWebhookUrlFault, isListedHost } from './webhook-url.ts';
export {
  batchEventTypes,
  endpointEventTypes,
  webhookEndpointRequestSchema,
  webhookEndpointPatchSchema,
  webhookEndpointSchema,
  webhookDeliverySchema,
} from './webhook.ts';
export type { EndpointEventType, WebhookEndpointObject, WebhookDeliveryObject } from './webhook.ts';
