import type { BatchRecord } from '@millrace/ledger';
import type { LaneDependencies } from './lane-dependencies.ts';

const DAY_MS = 86_400_000;
/** A vendor may be late with declaring a batch expired; beyond this nobody waits for it. */
export const GRACE_MS = 3_600_000;

/** Whether the vendor must long have ended a batch. */
export function isLongOver(
  { now }: Pick<LaneDependencies, 'now'>,
  { expiresAt, createdAt }: Pick<BatchRecord, 'expiresAt' | 'createdAt'>,
): boolean {
  return now() > (expiresAt ?? createdAt + DAY_MS) + GRACE_MS;
}
