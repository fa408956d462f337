import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Evidence, Violation } from '../observer/evidence.ts';

/** Keeps what the witnesses saw of a run that went wrong, and answers where. */
export function keepEvidence(
  evidence: Evidence,
  violations: readonly Violation[],
  logs: readonly string[],
): string {
  const directory = join(tmpdir(), 'millrace-chaos-failures');
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${evidence.run}.json`);
  writeFileSync(path, JSON.stringify({ violations, evidence, logs }, null, 1));
  return path;
}
