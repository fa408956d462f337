import { z } from 'zod';

/** Any JSON value, as `JSON.parse` returns it. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Accepts any JSON value without walking it: the value came out of `JSON.parse`, so it is JSON. */
export const jsonSchema = z.unknown() as z.ZodType<Json, Json>;

/**
 * JSON with object keys sorted at every level and no white space, so that two bodies that mean the same have the
 * same text (the idea of RFC 8785; numbers are printed as JavaScript prints them). Used for fingerprints.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.keys(value)
    .sort()
    .flatMap((key) => {
      const member = value[key];
      return member === undefined ? [] : [`${JSON.stringify(key)}:${canonicalJson(member)}`];
    });
  return `{${members.join(',')}}`;
}
