import type { Json, PlanNode, RouterNode } from '@millrace/contracts';
import type { Place, Run } from '../run/run.ts';
import { nodeFailure } from '../run/signals.ts';
import { childPath } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';

/** Longer answers are no labels: a label found somewhere in an essay says nothing. */
const SHORT_ANSWER_CHARACTERS = 200;

/** Classifies, then runs the one branch whose label the classification names. */
export async function runRouter(run: Run, node: RouterNode, place: Place): Promise<Settled> {
  const classified = await run.node(node.classify, {
    ...place,
    path: childPath(place.path, 'classify'),
    barrier: null,
  });
  const chosen = chooseRoute(node, classified.output);
  if (chosen === null) {
    const labels = Object.keys(node.routes).join(', ');
    const message = `The classification names none of the routes (${labels}) and there is no default.`;
    throw nodeFailure('plan_failed', message, childPath(place.path, 'classify'), classified.ordinal);
  }
  return run.node(chosen.node, {
    ...place,
    path: childPath(place.path, chosen.segment),
    after: classified.ordinal,
  });
}

function chooseRoute(node: RouterNode, answer: Json): { node: PlanNode; segment: string } | null {
  const label = matchLabel(answer, Object.keys(node.routes));
  const route = label === null ? undefined : node.routes[label];
  if (route && label !== null) return { node: route, segment: `route.${label}` };
  return node.default ? { node: node.default, segment: 'default' } : null;
}

/**
 * The label that an answer names: the whole answer, or the answer's member `label`, trimmed and without regard to case; or
 * the only label that stands as a word in a short answer ("The category is billing."). Null when there is none.
 */
function matchLabel(answer: Json, labels: readonly string[]): string | null {
  const text = answerText(answer);
  if (text === null) return null;
  const exact = labels.find((label) => label === text);
  if (exact !== undefined) return exact;
  const folded = text.toLowerCase();
  const alike = labels.find((label) => label.toLowerCase() === folded);
  if (alike !== undefined) return alike;
  if (text.length > SHORT_ANSWER_CHARACTERS) return null;
  const words = new Set(folded.match(/[a-z0-9_-]+/g) ?? []);
  const named = labels.filter((label) => words.has(label.toLowerCase()));
  return named.length === 1 ? (named[0] ?? null) : null;
}

function answerText(answer: Json): string | null {
  if (typeof answer === 'string') return answer.trim();
  if (typeof answer === 'number' || typeof answer === 'boolean') return String(answer);
  if (answer === null || Array.isArray(answer)) return null;
  return Object.hasOwn(answer, 'label') ? answerText(answer['label'] ?? null) : null;
}
