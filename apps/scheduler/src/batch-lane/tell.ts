import type { Charge, Priority } from '@millrace/contracts';
import type { StepWakeOfBatch } from '@millrace/ledger';
import type { StoredEvent } from '@millrace/ledger';
import type { LaneDependencies } from './lane-dependencies.ts';

/** What the ledger has committed and others should hear of. */
export interface News {
  events?: readonly StoredEvent[];
  /** Steps that go on in realtime. */
  wakes?: readonly (Omit<StepWakeOfBatch, 'charge'> & { charge: Charge | null; delayMs?: number })[];
  /** Jobs whose plans may be able to go on. */
  jobs?: readonly { jobId: string; priority: Priority }[];
  deliveryIds?: readonly string[];
}

/** Tells watchers and workers. Never throws: what Redis does not take, the reconciler finds in the ledger. */
export async function tell(
  dependencies: Pick<LaneDependencies, 'producer' | 'publisher' | 'onError'>,
  news: News,
): Promise<void> {
  const { producer, publisher, onError } = dependencies;
  const { events = [], wakes = [], jobs = [], deliveryIds = [] } = news;
  if (events.length > 0) await publisher.publishEvents(events);
  try {
    await producer.enqueueSteps(wakes.map((wake) => ({ delayMs: 0, ...wake })));
    await producer.enqueueJobs([...new Map(jobs.map((job) => [job.jobId, job])).values()]);
    await producer.enqueueDeliveries(deliveryIds.map((deliveryId) => ({ deliveryId, fence: 0, delayMs: 0 })));
  } catch (error) {
    onError(error);
  }
}
