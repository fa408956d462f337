import { createHash } from 'node:crypto';
import {
  ProblemError,
  canonicalJson,
  createId,
  jobRequestSchema,
  parseDeadlineAt,
  parseUsd,
  splitJobRequest,
} from '@millrace/contracts';
import type {
  HttpErrorCode,
  JobOptions,
  Json,
  PlanNode,
  ProblemDetail,
  RequestLimits,
} from '@millrace/contracts';
import type { NewJob } from '@millrace/ledger';
import { parseBody } from '../http/parse.ts';
import { checkWebhookUrl } from '../webhooks/check-webhook-url.ts';
import { checkMetadata } from './check-metadata.ts';

/** What a plan's schema cannot say; made from `checkPlan` of libs/plans by main. */
export type CheckPlan = (
  plan: PlanNode,
) => { ok: true } | { ok: false; code: HttpErrorCode; detail: string; errors: ProblemDetail[] };

export interface PrepareOptions {
  checkPlan: CheckPlan;
  limits: Readonly<RequestLimits>;
  /** Hosts that webhooks may reach although they are private. */
  listedHosts: readonly string[];
  now: () => number;
}

/** The parts of a job that do not come from its body. */
export interface JobOrigin {
  tenantId: string;
  apiKeyId: string;
  idempotencyKey: string | null;
  fingerprint: Uint8Array;
  requestId: string;
  traceparent: string | null;
}

/** Turns a body into a job that may be committed, or throws what is wrong with it, with paths. */
export function prepareJob(body: unknown, origin: JobOrigin, options: PrepareOptions): NewJob {
  const now = options.now();
  const { plan, options: wanted } = splitJobRequest(parseBody(jobRequestSchema, body));
  const check = options.checkPlan(plan);
  if (!check.ok) throw new ProblemError(check.code, check.detail, { errors: check.errors });
  checkMetadata(wanted.metadata, options.limits);
  if (wanted.webhook) checkWebhookUrl(wanted.webhook.url, options.listedHosts, 'webhook.url');
  const deadlineAt = readDeadline(wanted.deadline, now);
  return {
    ...origin,
    id: createId('job', now),
    type: plan.type,
    priority: wanted.priority,
    lane: wanted.lane,
    onLate: wanted.on_late,
    content: { plan, input: wanted.input, params: wanted.params ?? {} },
    metadata: wanted.metadata,
    webhook: readWebhook(wanted),
    deadlineAt,
    maxCostMicroUsd: wanted.max_cost_usd === undefined ? null : parseUsd(wanted.max_cost_usd),
  };
}

/** SHA-256 of method, path and canonical body: what makes two requests with one idempotency key the same. */
export function fingerprintOf(method: string, path: string, body: unknown): Uint8Array {
  const text = `${method} ${path}\n${canonicalJson((body ?? null) as Json)}`;
  return createHash('sha256').update(text).digest();
}

function readWebhook(wanted: JobOptions): NewJob['webhook'] {
  if (!wanted.webhook) return null;
  const { url, events } = wanted.webhook;
  return { url, events: events ?? ['job.completed', 'job.failed', 'job.cancelled', 'job.expired'] };
}

/** PostgreSQL's calendar and JavaScript's both reach beyond this; nobody waits until then. */
const LATEST_AT = Date.UTC(9999, 11, 31);

function readDeadline(text: string | undefined, now: number): number | null {
  if (text === undefined) return null;
  const deadlineAt = parseDeadlineAt(text, now);
  if (deadlineAt === null) {
    throw refuseDeadline('must be a duration such as "90s" or "2h", or an RFC 3339 instant with its offset');
  }
  if (deadlineAt <= now) throw refuseDeadline('is in the past');
  if (deadlineAt > LATEST_AT) throw refuseDeadline('is too far away');
  return deadlineAt;
}

function refuseDeadline(message: string): ProblemError {
  return new ProblemError('validation_failed', `deadline: ${message}`, {
    errors: [{ path: 'deadline', message }],
  });
}
