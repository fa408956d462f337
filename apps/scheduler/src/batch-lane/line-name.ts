/** The `custom_id` of a line: the batch's id and the line's number, `^[A-Za-z0-9_-]{1,64}$` as both vendors want it. */
export function lineName(batchId: string, line: number): string {
  return `${batchId}_${line}`;
}

/** The number of a line, or null when the name is not of this batch. */
export function lineNumber(batchId: string, customId: string): number | null {
  if (!customId.startsWith(`${batchId}_`)) return null;
  const text = customId.slice(batchId.length + 1);
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}
