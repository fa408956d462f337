/** Each bucket reaches a tenth further than the one before: an estimate is at most that much too large. */
const GROWTH = 1.1;

/** The bucket of a length in tokens; bucket 0 holds 0 and 1. */
export function bucketOf(tokens: number): number {
  return tokens <= 1 ? 0 : Math.ceil(Math.log(tokens) / Math.log(GROWTH) - 1e-9);
}

/** The greatest length that a bucket holds. */
export function upperEdgeOf(bucket: number): number {
  return Math.floor(GROWTH ** bucket + 1e-6);
}
