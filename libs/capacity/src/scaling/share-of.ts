/** A live worker and the calls of one pool that it can carry at a time. */
export interface Carrier {
  id: string;
  capacity: number;
}

/**
 * A worker's share of what a pool was granted: an even split, no worker beyond its capacity, what small ones leave going to
 * the others. The shares add up to what was granted, or to the fleet's capacity if that is less; but each is at least 1,
 * since every worker must be able to serve every pool. null for a worker that is not among them: it has just come and takes
 * what it can until it is counted.
 */
export function shareOf(granted: number, workers: readonly Carrier[], id: string): number | null {
  const inOrder = workers.toSorted((a, b) => a.capacity - b.capacity || (a.id < b.id ? -1 : 1));
  let left = granted;
  for (const [index, worker] of inOrder.entries()) {
    const share = Math.min(worker.capacity, Math.floor(left / (inOrder.length - index)));
    if (worker.id === id) return Math.max(1, share);
    left -= share;
  }
  return null;
}
