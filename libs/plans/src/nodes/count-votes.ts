import { canonicalJson } from '@millrace/contracts';
import type { Json } from '@millrace/contracts';

/**
 * The output that most votes agree on; of equally many the one that was voted for first. Texts agree when they are equal
 * but for surrounding white space and case, other values when they are the same JSON.
 */
export function countVotes(votes: readonly Json[]): Json {
  const ballots = new Map<string, { output: Json; count: number }>();
  for (const output of votes) {
    const key = ballotKey(output);
    const ballot = ballots.get(key) ?? { output, count: 0 };
    ballot.count += 1;
    ballots.set(key, ballot);
  }
  let winner: { output: Json; count: number } = { output: null, count: 0 };
  for (const ballot of ballots.values()) {
    if (ballot.count > winner.count) winner = ballot;
  }
  return winner.output;
}

function ballotKey(output: Json): string {
  if (typeof output === 'string') return `text:${output.trim().normalize('NFC').toLowerCase()}`;
  return `json:${canonicalJson(output)}`;
}
