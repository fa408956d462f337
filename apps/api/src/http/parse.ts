import { ProblemError } from '@millrace/contracts';
import type { ProblemDetail } from '@millrace/contracts';
import type { z } from 'zod';
import { refuseCrowded } from './refuse-crowded.ts';

/** A client that got everything wrong needs no list of ten thousand lines. */
const MAX_ERRORS = 50;

type Issue = z.core.$ZodIssue;

/**
 * What a schema makes of a body or a query, or `validation_failed` with the path of everything that is wrong
 * (`steps[1].prompt`), never with the values there. An unknown field is reported under its own path.
 */
export function parseBody<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = judge(schema, value);
  if (result.success) return result.data;
  const errors = result.error.issues.flatMap((issue) => toDetails(issue, [])).slice(0, MAX_ERRORS);
  throw new ProblemError('validation_failed', summary(errors), { errors });
}

/** Of a hundred thousand mistakes in one place the library cannot make a list: it ends with a RangeError. */
function judge<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.ZodSafeParseResult<z.output<Schema>> {
  refuseCrowded(value);
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ProblemError('validation_failed', 'More of the request is wrong than can be listed.');
  }
}

function toDetails(issue: Issue, parents: readonly PropertyKey[]): ProblemDetail[] {
  const path = [...parents, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MAX_ERRORS)
      .map((key) => ({ path: formatPath([...path, key]), message: 'unknown field' }));
  }
  if (issue.code === 'invalid_union') {
    const closest = closestBranch(issue.errors);
    if (closest) return closest.flatMap((inner) => toDetails(inner, path));
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => ({ path: formatPath(path), message: inner.message }));
  }
  return [{ path: formatPath(path), message: issue.message }];
}

/** Of a union's alternatives the one that the value came deepest into, then the one with the fewest objections. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const depth = (issues: readonly Issue[]): number => Math.max(...issues.map((issue) => issue.path.length));
  return [...branches]
    .filter((issues) => issues.length > 0)
    .sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
}

function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? shorten(String(part)) : `.${shorten(String(part))}`;
  }
  return text;
}

/** A field's name is the client's own text and may be a megabyte long. */
function shorten(name: string): string {
  return name.length <= 100 ? name : `${name.slice(0, 100)}…`;
}

function summary(errors: readonly ProblemDetail[]): string {
  const [first] = errors;
  if (!first) return 'The request does not fit the schema.';
  const where = first.path === '' ? 'the request' : first.path;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return `${where}: ${first.message}${more}`;
}
