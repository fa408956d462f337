import type { Json, PlanNode } from '@millrace/contracts';
import { gatherAll, latestOrdinal } from '../run/gather.ts';
import type { Place, Run } from '../run/run.ts';
import { nodeFailure } from '../run/signals.ts';
import type { Settled } from '../run/step.ts';
import { createNoteMeasure } from './measure-notes.ts';
import type { NoteMeasure } from './measure-notes.ts';

/**
 * Makes one output of all notes: with the reduce node alone (`reduce`) when its input fits `reduceInputTokens`, otherwise
 * in levels: notes are gathered in order into groups that fit, each group is reduced (`reduce[1][0]`, `reduce[1][1]` …), and
 * so on until what is left fits. A group of one note is passed on as it is. Fails where a note does not fit alone.
 */
export async function reduceNotes(
  run: Run,
  node: PlanNode,
  mapped: readonly Json[],
  place: Place,
): Promise<Settled> {
  const reduceGroup = (items: readonly Json[], at: Pick<Place, 'path' | 'after' | 'barrier'>) =>
    run.node(node, { ...at, scope: { ...place.scope, items } });

  // The last reduce was asked for only after everything fitted, and a recorded call needs no input any more.
  if (node.type === 'call' && run.isRecorded(place.path)) return reduceGroup(mapped, place);

  const measure = createNoteMeasure(run, node, place);
  let notes = mapped;
  let after = place.after;
  for (let level = 1; !measure.fit(notes); level += 1) {
    const groups = groupNotes(notes, measure, { ...place, after });
    const barrier = `${place.path}[${level}]`;
    const reduced = await gatherAll(
      groups.map(async (group, index) => {
        const [only, ...others] = group;
        if (only !== undefined && others.length === 0) return { output: only, ordinal: after };
        return reduceGroup(group, { path: `${barrier}[${index}]`, after, barrier });
      }),
      after,
    );
    notes = reduced.map((settled) => settled.output);
    after = latestOrdinal(after, reduced);
  }
  return reduceGroup(notes, { ...place, after });
}

/** Neighbours together, as many as fit. Fails when no two of them do, because then a level would gain nothing. */
function groupNotes(notes: readonly Json[], measure: NoteMeasure, place: Place): Json[][] {
  const limit = measure.limitTokens;
  const groups: Json[][] = [];
  let group: Json[] = [];
  let tokens = measure.baseTokens;
  for (const [index, note] of notes.entries()) {
    const size = measure.noteTokens(note);
    if (measure.baseTokens + size > limit) {
      const message = `Note ${index} alone does not fit the ${limit} tokens that one reduce may read.`;
      throw nodeFailure('plan_failed', message, place.path, place.after);
    }
    if (group.length > 0 && tokens + size > limit) {
      groups.push(group);
      group = [];
      tokens = measure.baseTokens;
    }
    group.push(note);
    tokens += size;
  }
  groups.push(group);
  if (groups.length < notes.length) return groups;
  const message = `No two of the ${notes.length} notes fit the ${limit} tokens that one reduce may read.`;
  throw nodeFailure('plan_failed', message, place.path, place.after);
}
