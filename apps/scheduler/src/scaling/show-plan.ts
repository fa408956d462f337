import type { ScalingPlan } from '@millrace/contracts';
import type { Metrics } from '@millrace/telemetry';

/** Shows a plan in the metrics; null, for a scheduler that does not lead, takes away what it showed. */
export function showPlan(metrics: Metrics, plan: ScalingPlan | null): void {
  const { wantedConcurrency, grantedConcurrency, feedableConcurrency, bottleneck } = metrics;
  const { limits, limitUse, limitOutside, limitShare } = metrics;
  for (const gauge of [wantedConcurrency, grantedConcurrency, feedableConcurrency, bottleneck]) gauge.reset();
  for (const gauge of [limits, limitUse, limitOutside, limitShare]) gauge.reset();
  metrics.wantedWorkers.set(plan?.wantedProcesses ?? 0);
  metrics.liveWorkers.set(plan?.workers.length ?? 0);
  for (const [pool, one] of Object.entries(plan?.pools ?? {})) {
    wantedConcurrency.set({ pool }, one.wanted);
    grantedConcurrency.set({ pool }, one.granted);
    if (one.feedable !== null) feedableConcurrency.set({ pool }, one.feedable);
    bottleneck.set({ pool, reason: one.bottleneck }, 1);
    if (one.limitShare !== undefined) limitShare.set({ pool }, one.limitShare);
    for (const { dimension, limit, used, outside } of one.limits ?? []) {
      limits.set({ pool, dimension }, limit);
      limitUse.set({ pool, dimension }, used);
      limitOutside.set({ pool, dimension }, outside);
    }
  }
}
