import type { MapReduceNode } from '@millrace/contracts';
import { DEFAULT_SPLIT } from '../nodes/map-reduce.ts';
import { maxOverlapTokens } from '../tokens/split-text.ts';
import { checkLength } from './check-length.ts';
import type { PlanChecker } from './check-plan.ts';
import { joinPath } from './join-path.ts';

/** No language that a model reads needs less than a token for this many characters; a split would give more chunks. */
const CHARACTERS_PER_TOKEN = 8;

/** A map: a document or items, how to split, how many. */
export function checkMapReduce(checker: PlanChecker, node: MapReduceNode, path: string): void {
  const { problems } = checker;
  const { document, items, split } = node;
  if (document === undefined && items === undefined) {
    problems.add('validation_failed', path, 'a document or items are needed');
  }
  if (document !== undefined && items !== undefined) {
    problems.add('validation_failed', joinPath(path, 'items'), 'document and items exclude each other');
  }
  if (split !== undefined && document === undefined) {
    problems.add('validation_failed', joinPath(path, 'split'), 'only a document is split');
  }
  if (split !== undefined && split.overlap_tokens > maxOverlapTokens(split.max_tokens)) {
    const at = joinPath(path, 'split.overlap_tokens');
    const message = `an overlap may have half of max_tokens, here ${maxOverlapTokens(split.max_tokens)}`;
    problems.add('validation_failed', at, message);
  }
  if (Array.isArray(items)) checkItems(checker, items, joinPath(path, 'items'));
  if (document && 'text' in document) {
    checkDocument(checker, document.text, split ?? DEFAULT_SPLIT, joinPath(path, 'document.text'));
  }
}

function checkItems(checker: PlanChecker, items: readonly unknown[], path: string): void {
  const { limits, problems } = checker;
  if (items.length > limits.maxMapChunks) {
    problems.add(
      'plan_too_large',
      path,
      `one map may have ${limits.maxMapChunks} items, not ${items.length}`,
    );
  }
  for (const [index, item] of items.entries()) {
    if (typeof item === 'string') checkLength(checker, item, `${path}[${index}]`);
  }
}

function checkDocument(
  checker: PlanChecker,
  text: string,
  split: { max_tokens: number; overlap_tokens: number },
  path: string,
): void {
  const { limits, problems } = checker;
  checkLength(checker, text, path);
  // Counting the tokens would take too long here; a document that is only perhaps too long is refused when it is split.
  const freshTokens = split.max_tokens - Math.min(split.overlap_tokens, maxOverlapTokens(split.max_tokens));
  const chunks = Math.floor(text.length / CHARACTERS_PER_TOKEN / freshTokens);
  if (chunks > limits.maxMapChunks) {
    const message = `one map may have ${limits.maxMapChunks} chunks; this splits into at least ${chunks}`;
    problems.add('plan_too_large', path, message);
  }
}
