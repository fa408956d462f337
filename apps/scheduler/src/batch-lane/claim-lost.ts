/** Another process has this batch now: whatever was under way here must not be written. */
export class ClaimLost extends Error {
  constructor(batchId: string) {
    super(`the claim of ${batchId} is lost`);
    this.name = 'ClaimLost';
  }
}
