/** Faults that are an HTTP error answer. */
export const ERROR_FAULTS = [
  'rate_limit',
  'rate_limit_tokens',
  'insufficient_quota',
  'spend_limit',
  'flex_unavailable',
  'invalid_key',
  'permission',
  'bad_request',
  'context_length',
  'content_policy',
  'server_error',
  'bad_gateway',
  'unavailable',
  'slow_down',
  'gateway_timeout',
  'overloaded',
] as const;

/** Faults of the connection or of the bytes on it. */
const WIRE_FAULTS = [
  'hang',
  'reset',
  'lost_response',
  'truncate',
  'stream_error',
  'garbage',
  'slow_first_byte',
] as const;

/** Faults of a whole provider batch, chosen when it is created. */
const BATCH_FAULTS = [
  'batch_validation_failed',
  'batch_stuck_validating',
  'batch_stuck',
  'batch_expires',
  'batch_output_missing',
  'batch_lines_fail',
] as const;

/** Faults of what the model says or of what is counted. */
const ANSWER_FAULTS = [
  'wrong_usage',
  'missing_usage',
  'empty_output',
  'invalid_json',
  'invalid_json_once',
  'refusal',
  'max_tokens',
] as const;

export type ErrorFault = (typeof ERROR_FAULTS)[number];
export type WireFault = (typeof WIRE_FAULTS)[number];
export type AnswerFault = (typeof ANSWER_FAULTS)[number];
export type BatchFaultKind = (typeof BATCH_FAULTS)[number];
export type FaultKind = ErrorFault | WireFault | AnswerFault | BatchFaultKind;

/** A fault that was chosen for one call, with the parameters it was ordered with. */
export interface Fault {
  readonly kind: FaultKind;
  readonly parameters: Readonly<Record<string, string>>;
}

const ALL: ReadonlySet<string> = new Set<string>([
  ...ERROR_FAULTS,
  ...WIRE_FAULTS,
  ...ANSWER_FAULTS,
  ...BATCH_FAULTS,
]);
const OF_BATCHES: ReadonlySet<string> = new Set<string>(BATCH_FAULTS);
const ERRORS: ReadonlySet<string> = new Set<string>(ERROR_FAULTS);

export function isFaultKind(kind: string): kind is FaultKind {
  return ALL.has(kind);
}

export function isErrorFault(kind: FaultKind): kind is ErrorFault {
  return ERRORS.has(kind);
}

export function isBatchFault(kind: FaultKind): kind is BatchFaultKind {
  return OF_BATCHES.has(kind);
}

/** A parameter that is a number, or the default. */
export function numberParameter(fault: Fault, name: string, otherwise: number): number {
  const value = Number(fault.parameters[name]);
  return fault.parameters[name] !== undefined && Number.isFinite(value) ? value : otherwise;
}
