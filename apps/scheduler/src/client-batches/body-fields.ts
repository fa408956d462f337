import { invalid, missing, unsupported } from './line-problem.ts';

/** A JSON object of a request. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whether a JSON value is an object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as an object; throws LineProblem. */
export function readFields(value: unknown, param: string): Fields {
  if (!isFields(value)) throw invalid(param, 'an object is expected');
  return value;
}

/** A value as a text that is not empty; throws LineProblem. */
export function readText(value: unknown, param: string): string {
  if (value === undefined || value === null) throw missing(param);
  if (typeof value !== 'string') throw invalid(param, 'a string is expected');
  if (value === '') throw invalid(param, 'it must not be empty');
  return value;
}

/** A value as a positive whole number, undefined when it is absent or null; throws LineProblem. */
export function readCount(value: unknown, param: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) {
    throw invalid(param, 'a whole number above 0 is expected');
  }
  return value;
}

/**
 * A sampling parameter, at most `most`; undefined when it is absent, null, or 1, which is what happens anyway. Throws
 * LineProblem.
 */
export function readSampling(value: unknown, param: string, most: number): number | undefined {
  if (value === undefined || value === null || value === 1) return undefined;
  if (typeof value === 'number' && value >= 0 && value <= most) return value;
  throw invalid(param, `a number from 0 to ${most} is expected`);
}

/**
 * Refuses every member that is not in `known`, unless it is absent, an empty list, or has one of the values in `harmless`
 * that change nothing. Throws LineProblem with the first of them: nothing of a request is dropped in silence.
 */
export function refuseOthers(
  fields: Fields,
  path: string,
  known: readonly string[],
  harmless: Readonly<Record<string, readonly unknown[]>> = {},
): void {
  for (const [name, value] of Object.entries(fields)) {
    if (known.includes(name) || value === null || value === undefined) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    const allowed = Object.hasOwn(harmless, name) ? harmless[name] : undefined;
    if (allowed?.includes(value)) continue;
    const param = `${path}.${name}`;
    throw allowed
      ? unsupported(
          param,
          `only ${allowed.map((each) => JSON.stringify(each)).join(' or ')} is supported here`,
        )
      : unsupported(param);
  }
}

/** `metadata` of a request, at most 16 texts; throws LineProblem. */
export function readMetadata(value: unknown, param: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const pairs = Object.entries(readFields(value, param));
  if (pairs.length > 16) throw invalid(param, 'at most 16 pairs');
  return Object.fromEntries(
    pairs.map(([key, text]) => {
      const at = `${param}.${key.slice(0, 64)}`;
      if (typeof text !== 'string') throw invalid(at, 'a string is expected');
      if (key.length > 64 || text.length > 512) throw invalid(at, 'at most 64 characters, and 512 of value');
      // PostgreSQL's jsonb takes neither; the whole batch would stand still for it.
      const both = `${key}${text}`;
      if (both.includes('\u0000') || !key.isWellFormed() || !text.isWellFormed()) {
        throw invalid(at, 'it cannot be stored as a text');
      }
      return [key, text];
    }),
  );
}
