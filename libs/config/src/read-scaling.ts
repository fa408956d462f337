import { parseDurationMs, priorities } from '@millrace/contracts';
import type { Priority } from '@millrace/contracts';
import type { ScalingConfig } from './config.ts';
import type { ConfigFile } from './config-file.ts';

/** What the file says of scaling and backpressure. What is wrong is added to `problems`. */
export function readScaling(file: ConfigFile, problems: string[]): ScalingConfig {
  const { scaling, backpressure } = file;
  const { min_concurrency: minConcurrency, max_concurrency: maxConcurrency = null } = scaling;
  if (maxConcurrency !== null && maxConcurrency < minConcurrency) {
    problems.push(
      `scaling.max_concurrency: ${maxConcurrency} is less than min_concurrency, ${minConcurrency}`,
    );
  }
  const targetWaitMs = toMs('scaling.target_wait', scaling.target_wait, problems);
  const boundMs = toMs('backpressure', backpressure, problems);
  return { targetWaitMs, minConcurrency, maxConcurrency, boundMs };
}

function toMs(
  path: string,
  texts: Readonly<Record<Priority, string>>,
  problems: string[],
): Record<Priority, number> {
  const [realtime, standard, background] = priorities.map((priority) => {
    const value = parseDurationMs(texts[priority]);
    if (value === null) {
      problems.push(`${path}.${priority}: ${JSON.stringify(texts[priority])} is not a duration`);
    }
    return value ?? 0;
  }) as [number, number, number];
  return { realtime, standard, background };
}
