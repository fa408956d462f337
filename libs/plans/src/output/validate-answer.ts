import { createHash } from 'node:crypto';
import { canonicalJson } from '@millrace/contracts';
import type { Json } from '@millrace/contracts';
import type { ErrorObject } from 'ajv';
import type { CompiledSchema } from './output-schema.ts';
import { TookTooLong } from './time-limit.ts';
import type { TimeLimit } from './time-limit.ts';

/** A good answer's value; or what to tell the model, and a fingerprint by which the same wrong answer is known again. */
export type OutputCheck = { ok: true; value: Json } | { ok: false; feedback: string; fingerprint: string };

const MAX_ERRORS = 5;
/** What is echoed of the answer, for each error: a path and perhaps a name; with five errors under 500 characters. */
const MAX_PATH_CHARACTERS = 56;
const MAX_NAME_CHARACTERS = 36;
/** What is echoed of the schema, for each error. */
const MAX_RULE_CHARACTERS = 200;
/** Deeper values would overflow the stack of whoever walks over them later. */
const MAX_DEPTH = 200;
/** In a longer answer only the first error is looked for: a hostile schema could make millions. */
const MAX_ALL_ERRORS_CHARACTERS = 50_000;

/**
 * Reads a model's answer as JSON (a Markdown fence around it is taken off) and validates it. `feedback` is English, short,
 * for the model; it echoes less than 500 characters of the answer. `fingerprint` is the SHA-256 of the answer without
 * regard to white space and the order of keys.
 */
export function validateAnswer(text: string, schema: CompiledSchema, limited: TimeLimit): OutputCheck {
  const body = stripFence(text);
  let value: Json;
  try {
    value = JSON.parse(body) as Json;
  } catch (error) {
    const reason = error instanceof SyntaxError ? syntaxReason(body, error) : 'it cannot be read';
    return refuse(`The answer is not valid JSON: ${reason}.`, body.replace(/\s+/g, ' '));
  }
  if (!isShallow(value)) return refuse(`The answer is nested more than ${MAX_DEPTH} deep.`, body);
  const validate = body.length > MAX_ALL_ERRORS_CHARACTERS ? schema.findFirst() : schema.findAll;
  try {
    if (limited(() => validate(value)) === true) return { ok: true, value };
  } catch (error) {
    if (!(error instanceof TookTooLong)) throw error;
    return refuse(TOO_SLOW, canonicalJson(value));
  }
  return refuse(describeErrors(validate.errors ?? []), canonicalJson(value));
}

const TOO_SLOW =
  'The answer takes too long to check against the JSON schema; keep its texts short and simple.';

function refuse(feedback: string, normalisedAnswer: string): OutputCheck {
  const fingerprint = createHash('sha256').update(normalisedAnswer).digest('hex');
  return { ok: false, feedback: feedback.toWellFormed(), fingerprint };
}

/** The text inside a Markdown code fence, or the text itself; trimmed. */
function stripFence(text: string): string {
  const trimmed = text.replace(/^\uFEFF/, '').trim();
  const fence = /^[^{["`]{0,200}```(?:[A-Za-z0-9_-]+(?=\s))?([^]*?)```[^`]{0,200}$/.exec(trimmed);
  return fence?.[1] === undefined ? trimmed : fence[1].trim();
}

function isShallow(value: Json): boolean {
  let level: Json[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return false;
    const next: Json[] = [];
    for (const each of level) {
      if (each === null || typeof each !== 'object') continue;
      for (const member of Object.values(each)) {
        if (member !== null && typeof member === 'object') next.push(member);
      }
    }
    level = next;
  }
  return true;
}

function syntaxReason(body: string, error: SyntaxError): string {
  if (body === '') return 'it is empty';
  const position = /position (\d+)/.exec(error.message)?.[1];
  if (position !== undefined) return `unexpected text at character ${position}`;
  return /end of JSON|Unterminated/i.test(error.message) ? 'it ends too early' : 'it has a syntax error';
}

function describeErrors(errors: readonly ErrorObject[]): string {
  const lines = new Set<string>();
  for (const error of errors) {
    const path = error.instancePath === '' ? 'the answer' : shorten(error.instancePath, MAX_PATH_CHARACTERS);
    lines.add(`- ${path}: ${describeError(error)}`);
    if (lines.size > MAX_ERRORS) break;
  }
  const shown = [...lines].slice(0, MAX_ERRORS);
  if (lines.size > MAX_ERRORS) shown.push('- and more');
  return `The answer does not fit the JSON schema:\n${shown.join('\n')}`;
}

function describeError(error: ErrorObject): string {
  const parameters = error.params as Record<string, unknown>;
  const rule = shorten(error.message ?? `fails "${error.keyword}"`, MAX_RULE_CHARACTERS);
  const unknown = parameters['additionalProperty'] ?? parameters['unevaluatedProperty'];
  if (typeof unknown === 'string') return `${rule} (${shorten(unknown, MAX_NAME_CHARACTERS)})`;
  const allowed = parameters['allowedValues'] ?? parameters['allowedValue'];
  if (allowed !== undefined) return `${rule}: ${shorten(JSON.stringify(allowed), MAX_RULE_CHARACTERS)}`;
  return rule;
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
