/** How long nobody else looks at a claimed batch; renewed three times in this period by whoever works on it. */
export const LEASE_MS = 15_000;
