import { ProblemError } from '@millrace/contracts';
import type { ProblemDetail, RequestLimits } from '@millrace/contracts';

/**
 * Refuses metadata over the caps, and text that PostgreSQL's jsonb cannot hold: NUL and lone surrogates. A path shows at most the first
 * hundred characters of a key.
 */
export function checkMetadata(metadata: Record<string, string>, limits: Readonly<RequestLimits>): void {
  const { maxMetadataPairs, maxMetadataKeyCharacters, maxMetadataValueCharacters } = limits;
  const entries = Object.entries(metadata);
  const errors: ProblemDetail[] = [];
  if (entries.length > maxMetadataPairs) {
    errors.push({ path: 'metadata', message: `may have ${maxMetadataPairs} pairs` });
  }
  for (const [key, value] of entries.slice(0, maxMetadataPairs + 1)) {
    const path = `metadata.${key.toWellFormed().replaceAll('\0', '\\0').slice(0, 100)}`;
    if (key === '') errors.push({ path: 'metadata', message: 'a key must not be empty' });
    if (key.length > maxMetadataKeyCharacters) {
      errors.push({ path, message: `a key may have ${maxMetadataKeyCharacters} characters` });
    }
    if (value.length > maxMetadataValueCharacters) {
      errors.push({ path, message: `a value may have ${maxMetadataValueCharacters} characters` });
    }
    if (!isStorable(key) || !isStorable(value)) {
      errors.push({ path, message: 'must not contain NUL or half of a surrogate pair' });
    }
  }
  const [first] = errors;
  if (first) throw new ProblemError('validation_failed', `${first.path}: ${first.message}`, { errors });
}

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
