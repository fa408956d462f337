import { stepRequestSchema } from '@millrace/contracts';
import type { Lane, Priority, StepRequest } from '@millrace/contracts';
import { z } from 'zod';
import type { ClaimedStep, RepairState } from './claim-steps.ts';

/** Why a step cannot be run by this version. */
export interface Unreadable {
  /** A newer version wrote it: another worker may know what to do. */
  isNewer: boolean;
  /** Where in the row it stops fitting, such as `request.tools`; nothing of the content. */
  places: string[];
}

/** Stands for a request that is not there to be read. Never to be sent. */
export const emptyRequest: StepRequest = {
  kind: 'call',
  route: null,
  model: null,
  system: null,
  messages: [{ role: 'user', content: '' }],
  output: null,
  maxOutputTokens: null,
  stream: false,
};

/**
 * Maps a row of a claim. The claim is committed already, so one row that nobody can read must not take the others with it:
 * it comes marked as `unreadable`.
 */
export function readClaim(row: ClaimRow): ClaimedStep {
  const request = stepRequestSchema.safeParse(row.request);
  const repair = repairSchema.nullable().safeParse(row.repair);
  const unknown = findUnknown(row.request, request.data ?? stepRequestSchema.shape, 'request');
  if (request.success && repair.success && unknown.length === 0)
    return mapRow(row, request.data, repair.data);
  return { ...mapRow(row, emptyRequest, null), unreadable: explain(unknown, request.error, repair.error) };
}

/**
 * A stored field is only ever added, as optional. So a field that we do not know was written by a newer version, and to
 * leave it out could ask for something else than was wanted; a known field that does not fit is a fault.
 */
function explain(
  unknown: readonly string[],
  ofRequest: z.ZodError | undefined,
  ofRepair: z.ZodError | undefined,
): Unreadable {
  if (unknown.length > 0) return { isNewer: true, places: [...unknown] };
  const places = [
    ...(ofRequest?.issues ?? []).map(({ path }) => ['request', ...path].join('.')),
    ...(ofRepair?.issues ?? []).map(({ path }) => ['repair', ...path].join('.')),
  ];
  return { isNewer: false, places };
}

/** The places of `raw` that reading left out; where its values do not fit, only its outermost names can be compared. */
function findUnknown(raw: unknown, read: unknown, place: string): string[] {
  if (!isObject(raw) || !isObject(read)) return [];
  return Object.entries(raw).flatMap(([name, value]) =>
    name in read ? findUnknown(value, read[name], `${place}.${name}`) : [`${place}.${name}`],
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** What {@link toClaimedStep} reads. */
export interface ClaimRow {
  job_id: string;
  key: string;
  fence: number;
  tenant_id: string;
  request_id: string;
  traceparent: string | null;
  priority: Priority;
  request: unknown;
  route: string | null;
  target: string;
  pool: string;
  lane: Lane;
  spent_targets: string[];
  target_attempts: number;
  attempts: number;
  repairs: number;
  deaths: number;
  repair: unknown;
  lost_answer: boolean;
  ambiguous_policy: 'retry' | 'hold';
  deadline_at: number | null;
  max_cost_micro_usd: number | null;
  created_at: number;
}

const repairSchema = z.object({ answer: z.string(), feedback: z.string(), fingerprint: z.string() });

/** Maps a row; JSON columns are outside data and are parsed here. Throws ZodError where they do not fit. */
export function toClaimedStep(row: ClaimRow): ClaimedStep {
  return mapRow(row, stepRequestSchema.parse(row.request), repairSchema.nullable().parse(row.repair));
}

function mapRow(row: ClaimRow, request: StepRequest, repair: RepairState | null): ClaimedStep {
  return {
    jobId: row.job_id,
    key: row.key,
    fence: row.fence,
    tenantId: row.tenant_id,
    requestId: row.request_id,
    traceparent: row.traceparent,
    priority: row.priority,
    request,
    route: row.route,
    target: row.target,
    pool: row.pool,
    lane: row.lane,
    spentTargets: row.spent_targets,
    targetAttempts: row.target_attempts,
    attempts: row.attempts,
    repairs: row.repairs,
    deaths: row.deaths,
    repair,
    lostAnswer: row.lost_answer,
    ambiguousPolicy: row.ambiguous_policy,
    deadlineAt: row.deadline_at,
    maxCostMicroUsd: row.max_cost_micro_usd,
    createdAt: row.created_at,
  };
}
