import type { Producer } from './producer.ts';

/** How many wakes a queue has in one of BullMQ's states. */
export interface QueueReading {
  queue: string;
  state: string;
  count: number;
}

/** Counts the wakes of every queue by state; for gauges. */
export async function measureQueues(producer: Producer): Promise<QueueReading[]> {
  const readings = await Promise.all(
    producer.queues.map(async (queue) => {
      const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed');
      return Object.entries(counts).map(([state, count]) => ({ queue: queue.name, state, count }));
    }),
  );
  return readings.flat();
}
