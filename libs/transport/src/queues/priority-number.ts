import type { Priority } from '@millrace/contracts';

/**
 * BullMQ's number for a class: lower goes first, and a job without a number would go before all of them, so every wake
 * carries one. The distances leave room for an order within the class.
 */
export function priorityNumber(priority: Priority): number {
  switch (priority) {
    case 'realtime':
      return 1;
    case 'standard':
      return 700_000;
    case 'background':
      return 1_400_000;
  }
}
