import type { Json, MapReduceNode } from '@millrace/contracts';
import { gatherAll, latestOrdinal } from '../run/gather.ts';
import { resolvePath } from '../run/resolve-path.ts';
import type { Place, Run } from '../run/run.ts';
import { nodeFailure } from '../run/signals.ts';
import { childPath } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';
import { splitText } from '../tokens/split-text.ts';
import { reduceNotes } from './reduce-notes.ts';

/** How a document is split when the plan does not say; the default of the contract. */
export const DEFAULT_SPLIT = { max_tokens: 1500, overlap_tokens: 0 };

/** Splits, maps in parallel, reduces. Without `reduce` the output is the list of what the map gave. */
export async function runMapReduce(run: Run, node: MapReduceNode, place: Place): Promise<Settled> {
  const items = listItems(run, node, place);
  if (items.length > run.limits.maxMapChunks) {
    const message = `There are more than the ${run.limits.maxMapChunks} chunks or items that one map may have.`;
    throw nodeFailure('plan_failed', message, place.path, place.after);
  }
  const mapPath = childPath(place.path, 'map');
  // With nothing to do after its items, the map is only a part of the barrier around it.
  const isEnd = !node.reduce && place.barrier !== null;
  const barrier = isEnd ? place.barrier : mapPath;
  const mapped = await gatherAll(
    items.map((item, index) =>
      run.node(node.map, {
        ...place,
        path: `${mapPath}[${index}]`,
        scope: { ...place.scope, item, index },
        barrier,
      }),
    ),
    place.after,
  );
  const notes = mapped.map((settled) => settled.output);
  const ordinal = latestOrdinal(place.after, mapped);
  if (!node.reduce) return { output: notes, ordinal };
  return reduceNotes(run, node.reduce, notes, {
    ...place,
    path: childPath(place.path, 'reduce'),
    after: ordinal,
  });
}

function listItems(run: Run, node: MapReduceNode, place: Place): readonly Json[] {
  if (node.items) {
    if (Array.isArray(node.items)) return node.items as Json[];
    const { from } = node.items;
    const items = resolvePath(place.scope, from);
    if (Array.isArray(items)) return items;
    throw nodeFailure('plan_failed', `"${from}" is ${describe(items)}, not a list.`, place.path, place.after);
  }
  const { max_tokens: maxTokens, overlap_tokens: overlapTokens } = node.split ?? DEFAULT_SPLIT;
  const text = documentText(node, place);
  const options = { maxTokens, overlapTokens, maxChunks: run.limits.maxMapChunks };
  return run.splits ? run.splits.split(text, options) : splitText(text, options);
}

function documentText(node: MapReduceNode, place: Place): string {
  if (!node.document)
    throw nodeFailure('plan_failed', 'There is neither a document nor items.', place.path, place.after);
  if ('text' in node.document) return node.document.text;
  const { from } = node.document;
  const text = resolvePath(place.scope, from);
  if (typeof text === 'string') return text;
  throw nodeFailure('plan_failed', `"${from}" is ${describe(text)}, not a text.`, place.path, place.after);
}

function describe(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'string'
    ? 'a text'
    : `a${typeof value === 'object' ? 'n object' : ` ${typeof value}`}`;
}
