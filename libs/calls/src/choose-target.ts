import type { RouteConfig } from '@millrace/config';

/** What a call names: a route or a model, never both. */
export interface TargetChoice {
  route: string | null;
  model: string | null;
}

/**
 * The target (`provider/model`) for a call, or null when none is left. A model is its own only target. On a route one of
 * the weighted targets is drawn (`random`, 0 ≤ x < 1) as long as none of them was given up; then come the remaining ones
 * and the fallbacks in order. Targets whose provider cannot be called are passed over.
 */
export function chooseTarget(
  choice: TargetChoice,
  routes: ReadonlyMap<string, RouteConfig>,
  spent: readonly string[],
  isUsable: (target: string) => boolean,
  random: number,
): string | null {
  const usable = (target: string): boolean => !spent.includes(target) && isUsable(target);
  if (choice.model !== null) return usable(choice.model) ? choice.model : null;
  const route = choice.route === null ? undefined : routes.get(choice.route);
  if (!route) return null;
  const weighted = route.targets.filter((each) => usable(each.target));
  return draw(weighted, random) ?? route.fallback.find(usable) ?? null;
}

function draw(targets: readonly { target: string; weight: number }[], random: number): string | null {
  const total = targets.reduce((sum, each) => sum + each.weight, 0);
  let position = random * total;
  for (const each of targets) {
    position -= each.weight;
    if (position < 0) return each.target;
  }
  return targets.at(-1)?.target ?? null;
}

/** `openai/gpt-6-luna` → provider and model; the model may contain slashes. */
export function splitTarget(target: string): { provider: string; model: string } {
  const slash = target.indexOf('/');
  return { provider: target.slice(0, slash), model: target.slice(slash + 1) };
}
