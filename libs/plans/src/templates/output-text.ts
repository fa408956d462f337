import { Drop } from 'liquidjs';

/** A value as a template prints it: texts and numbers as they are, nothing for null, JSON for lists and objects. */
export function outputText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  // liquidjs's own objects (`empty`, `forloop`) are no data.
  if (value instanceof Drop) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}
