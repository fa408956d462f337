import type { Priority } from '@millrace/contracts';

/**
 * BullMQ's number for a class: lower goes first, and a job without a number would go before all of them, so every wake
 * carries one. This is the first number of the class, and so the front of it; the {@link PLACES} after it leave room for an
 * order within the class.
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

/** How many numbers follow the first of each class. BullMQ's last number is 2,097,151. */
export const PLACES = 690_000;
