import type { LiveRoute, LiveRoutes, LiveTarget } from '@millrace/config';

/** What a call names: a route or a model, never both. */
export interface TargetChoice {
  route: string | null;
  model: string | null;
}

/** What is known of a target at the moment of a choice. */
export interface TargetView {
  /** Its provider can be called from here. */
  usable: boolean;
  breaker: 'closed' | 'open' | 'half_open';
  /** How long a call that is placed there now waits until it may leave. */
  expectedWaitMs: number;
}

/**
 * `healthy`: calls can go there. `down`: no target of the route can be used at present (breakers open, or switched off);
 * the target is the one to wait at.
 */
export interface ChosenTarget {
  kind: 'healthy' | 'down';
  target: string;
}

/** What of a route's calls goes to targets that may be back, to find out. */
const PROBE_SHARE = 0.1;
/** A target with this much more to wait than the best one counts half. */
const HALF_WEIGHT_MS = 1_000;

/**
 * The target (`provider/model`) for a call, or null when none is left. Pure; `random` is 0 ≤ x < 1. A model is its own
 * only target. On a route it is one of the weighted targets, drawn; then the fallbacks in order. Targets that were given up
 * (`spent`), switched off, whose provider cannot be called or whose breaker is open are passed over. A weight counts less
 * the longer a call would wait there, compared with the target that waits least: so the limits of all of them are used up
 * before anything queues for long at one. A share of the calls tries targets whose breaker is half open.
 */
export function chooseTarget(
  choice: TargetChoice,
  { routes, off }: LiveRoutes,
  spent: readonly string[],
  look: (target: string) => TargetView,
  random: number,
): ChosenTarget | null {
  const route = choice.model === null ? routes.get(choice.route ?? '') : asRoute(choice.model, off);
  if (!route) return null;
  const left = (targets: readonly LiveTarget[]): Candidate[] =>
    targets
      .filter(({ target }) => !spent.includes(target))
      .map((live) => ({ ...live, view: look(live.target) }))
      .filter(({ view }) => view.usable);
  const candidates: Candidates = { weighted: left(route.targets), fallback: left(route.fallback) };
  const found = probe(candidates, random) ?? healthy(candidates, random);
  if (found) return { kind: 'healthy', target: found.target };
  const waiting = draw(candidates.weighted.filter(isOn), random) ?? candidates.fallback.find(isOn);
  const place = waiting ?? draw(candidates.weighted, random) ?? candidates.fallback[0];
  return place ? { kind: 'down', target: place.target } : null;
}

interface Candidate extends LiveTarget {
  view: TargetView;
}

interface Candidates {
  weighted: readonly Candidate[];
  fallback: readonly Candidate[];
}

function asRoute(model: string, off: ReadonlySet<string>): LiveRoute {
  const only: LiveTarget = { target: model, weight: 1, off: off.has(model) ? 'everywhere' : null };
  return { targets: [only], fallback: [], degraded: { kind: 'wait' } };
}

/** A target that may be back, for a small share of the calls. */
function probe({ weighted, fallback }: Candidates, random: number): Candidate | null {
  if (random >= PROBE_SHARE) return null;
  const mayBeBack = weighted.filter((each) => isOn(each) && each.view.breaker === 'half_open');
  // Fallbacks that may be back are of interest only while nothing before them works.
  const works = weighted.some((each) => isOn(each) && each.view.breaker === 'closed');
  const next = works ? undefined : fallback.find((each) => isOn(each) && each.view.breaker !== 'open');
  return draw(mayBeBack, random / PROBE_SHARE) ?? (next?.view.breaker === 'half_open' ? next : null);
}

function healthy({ weighted, fallback }: Candidates, random: number): Candidate | null {
  const inState = (state: TargetView['breaker']) => (each: Candidate) =>
    isOn(each) && each.view.breaker === state;
  return (
    draw(weighted.filter(inState('closed')), random) ??
    fallback.find(inState('closed')) ??
    draw(weighted.filter(inState('half_open')), random) ??
    fallback.find(inState('half_open')) ??
    null
  );
}

function isOn({ off }: LiveTarget): boolean {
  return off === null;
}

/** Draws by weight and expected wait. Those with weight 0 are drawn only when there are no others. */
function draw(targets: readonly Candidate[], random: number): Candidate | null {
  const wanted = targets.filter(({ weight }) => weight > 0);
  if (wanted.length === 0) return targets[Math.floor(random * targets.length)] ?? null;
  const least = Math.min(...wanted.map(({ view }) => view.expectedWaitMs));
  const shares = wanted.map(
    ({ weight, view }) => weight / (1 + (view.expectedWaitMs - least) / HALF_WEIGHT_MS),
  );
  let position = random * shares.reduce((sum, share) => sum + share, 0);
  for (const [index, share] of shares.entries()) {
    position -= share;
    if (position < 0) return wanted[index] ?? null;
  }
  return wanted.at(-1) ?? null;
}
