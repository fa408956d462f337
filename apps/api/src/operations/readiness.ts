import { orLate } from '@millrace/contracts';
import { measureOverdue } from '@millrace/ledger';
import type { Queryable } from '@millrace/ledger';
import { z } from 'zod';

/** One thing that the API needs, and what is wrong with it. */
const partSchema = z.object({ ok: z.boolean(), detail: z.string() });

/** Answer of `GET /readyz`. */
export const readinessSchema = z
  .object({
    status: z.enum(['ok', 'degraded', 'unavailable']).meta({
      description:
        'degraded: jobs are accepted, but Redis is away or nobody moves them. unavailable: nothing is accepted.',
    }),
    parts: z.object({ ledger: partSchema, transport: partSchema, moving: partSchema }),
  })
  .meta({ id: 'Readiness' });

export type Readiness = z.infer<typeof readinessSchema>;
type Part = z.infer<typeof partSchema>;

/** Redis that stands still keeps its connections; what does not answer by then is away. */
const PATIENCE_MS = 500;

/** The reconciler looks every second; work that is overdue for longer than this has nobody who reconciles. */
const STANDSTILL_S = 30;

/**
 * Whether this process can do its work: without the ledger it cannot (503); without Redis, or with nobody who moves work, it still
 * accepts (200) and says what is wrong.
 */
export async function checkReadiness(options: {
  database: Queryable;
  /** Asks Redis for a sign of life; rejects when it is away. */
  pingTransport: () => Promise<unknown>;
  stopping: AbortSignal;
}): Promise<Readiness> {
  const [overdueS, transportAnswers] = await Promise.all([
    measureOverdue(options.database).catch(() => null),
    answersWithin(PATIENCE_MS, options.pingTransport()),
  ]);
  const ledger: Part =
    overdueS === null
      ? { ok: false, detail: 'PostgreSQL does not answer' }
      : { ok: true, detail: 'PostgreSQL answers' };
  const transport: Part = transportAnswers
    ? { ok: true, detail: 'Redis answers' }
    : { ok: false, detail: 'Redis is away; jobs are accepted and start when it is back' };
  const parts = { ledger, transport, moving: describeMoving(overdueS) };
  if (options.stopping.aborted || !ledger.ok) return { status: 'unavailable', parts };
  return { status: transport.ok && parts.moving.ok ? 'ok' : 'degraded', parts };
}

function describeMoving(overdueS: number | null): Part {
  if (overdueS === null) return { ok: false, detail: 'unknown without PostgreSQL' };
  const detail = `the longest overdue work has been overdue for ${Math.round(overdueS)} s`;
  return { ok: overdueS < STANDSTILL_S, detail };
}

function answersWithin(patienceMs: number, answer: Promise<unknown>): Promise<boolean> {
  const answered = answer.then(
    () => true,
    () => false,
  );
  return orLate(answered, patienceMs, () => false);
}
