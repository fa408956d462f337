import { joinJournal, readJournal } from '@millrace/simulator';

/** How often the provider completed a call for each step (`job/step`), by the provider's own journal. */
export function completedCalls(journalPath: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const call of joinJournal(readJournal(journalPath))) {
    if (call.stepId === null || call.end?.status !== 200 || !call.end.finished) continue;
    const step = call.stepId.replace(/#\d+$/, '');
    counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  return counts;
}
