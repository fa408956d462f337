import type { Producer } from './producer.ts';
import { poolQueue } from './queue-names.ts';

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

/** How many wakes of a pool wait for their turn, those that wait for a time included; 0 for a pool without a queue. Throws without Redis. */
export async function measureBacklog(producer: Producer, pool: string): Promise<number> {
  const queue = producer.queues.find(({ name }) => name === poolQueue(pool));
  if (!queue) return 0;
  return queue.getJobCountByTypes('waiting', 'prioritized', 'delayed');
}
