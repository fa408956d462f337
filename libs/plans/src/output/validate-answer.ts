import { createHash } from 'node:crypto';
import { canonicalJson } from '@millrace/contracts';
import type { Json } from '@millrace/contracts';
import type { ErrorObject, ValidateFunction } from 'ajv';

/** A good answer's value; or what to tell the model, and a fingerprint by which the same wrong answer is known again. */
export type OutputCheck = { ok: true; value: Json } | { ok: false; feedback: string; fingerprint: string };

const MAX_ERRORS = 8;
const MAX_FEEDBACK_CHARACTERS = 1_500;
const MAX_ECHO_CHARACTERS = 60;

/**
 * Reads a model's answer as JSON (a Markdown fence around it is taken off) and validates it. `feedback` is English, short,
 * for the model; it echoes little of the answer. `fingerprint` is the SHA-256 of the answer without regard to white space
 * and the order of keys.
 */
export function validateAnswer(text: string, validate: ValidateFunction): OutputCheck {
  const body = stripFence(text);
  let value: Json;
  try {
    value = JSON.parse(body) as Json;
  } catch (error) {
    const reason = error instanceof SyntaxError ? syntaxReason(body, error) : 'it cannot be read';
    const feedback = `The answer is not valid JSON: ${reason}. Answer with the JSON value alone.`;
    return { ok: false, feedback, fingerprint: fingerprintOf(body.replace(/\s+/g, ' ')) };
  }
  if (validate(value) === true) return { ok: true, value };
  const feedback = describeErrors(validate.errors ?? []);
  return { ok: false, feedback, fingerprint: fingerprintOf(canonicalJson(value)) };
}

/** The text inside a Markdown code fence, or the text itself; trimmed. */
function stripFence(text: string): string {
  const trimmed = text.replace(/^\uFEFF/, '').trim();
  const fenced = /^[^{["`]{0,200}```[A-Za-z0-9_-]*[^\S\n]*\n([^]*?)\n?```[^`]{0,200}$/.exec(trimmed);
  return fenced?.[1] === undefined ? trimmed : fenced[1].trim();
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
    lines.add(
      `- ${error.instancePath === '' ? 'the answer' : echo(error.instancePath)}: ${describeError(error)}`,
    );
    if (lines.size > MAX_ERRORS) break;
  }
  const shown = [...lines].slice(0, MAX_ERRORS);
  if (lines.size > MAX_ERRORS) shown.push('- and more');
  const feedback = `The answer does not fit the JSON schema:\n${shown.join('\n')}`;
  return feedback.slice(0, MAX_FEEDBACK_CHARACTERS).toWellFormed();
}

function describeError(error: ErrorObject): string {
  const parameters = error.params as Record<string, unknown>;
  const message = error.message ?? `fails "${error.keyword}"`;
  const unknown = parameters['additionalProperty'] ?? parameters['unevaluatedProperty'];
  if (typeof unknown === 'string') return `${message} (${echo(unknown)})`;
  const allowed = parameters['allowedValues'] ?? parameters['allowedValue'];
  if (allowed !== undefined) return `${message}: ${echo(JSON.stringify(allowed), 200)}`;
  return echo(message, 200);
}

function echo(text: string, length = MAX_ECHO_CHARACTERS): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

function fingerprintOf(normalised: string): string {
  return createHash('sha256').update(normalised).digest('hex');
}
