import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { Producer } from './producer.ts';
import { poolOfQueue } from './queue-names.ts';

/**
 * Bull Board's view of the queues. Wakes carry ids only; what is shown is reduced to known ids all the same, so that a
 * payload which should not be there cannot be read on the board.
 */
export function createBoardAdapters(producer: Producer, options: { readOnly: boolean }): BullMQAdapter[] {
  return producer.queues.map((queue) => {
    const adapter = new BullMQAdapter(queue, {
      readOnlyMode: options.readOnly,
      description: describe(queue.name),
    });
    adapter.setFormatter('data', showIds);
    adapter.setFormatter('returnValue', () => null);
    return adapter;
  });
}

function showIds(data: unknown): Record<string, string> {
  if (typeof data !== 'object' || data === null) return {};
  return Object.fromEntries(
    Object.entries(data).flatMap(([name, value]) =>
      ['jobId', 'key', 'deliveryId'].includes(name) && typeof value === 'string'
        ? [[name, value.slice(0, 200)]]
        : [],
    ),
  );
}

function describe(queue: string): string {
  if (queue === 'jobs') return 'Jobs whose plan has to go on';
  if (queue === 'webhooks') return 'Webhook deliveries';
  return `Provider calls of the pool ${poolOfQueue(queue)}`;
}
