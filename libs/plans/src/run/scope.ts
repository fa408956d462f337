import type { Json } from '@millrace/contracts';

/** The variables that a template may name; a nested node sees those around it, and the inner one wins. */
export interface Scope {
  input?: Json | undefined;
  params: Readonly<Record<string, Json>>;
  steps: Readonly<Record<string, Json>>;
  item?: Json | undefined;
  index?: number | undefined;
  items?: readonly Json[] | undefined;
}

/** The names of {@link Scope}; only `params` is trusted, the others are data. */
export const scopeNames = ['input', 'params', 'steps', 'item', 'index', 'items'] as const;

/** The scope at the root of a plan. Objects without a prototype, so that no template reaches one. */
export function rootScope(input: Json | undefined, params: Readonly<Record<string, Json>>): Scope {
  const scope: Scope = { params, steps: dictionary({}) };
  if (input !== undefined) scope.input = input;
  return scope;
}

/** The scope with one more output under `steps`. */
export function withStep(scope: Scope, name: string, output: Json): Scope {
  return { ...scope, steps: dictionary({ ...scope.steps, [name]: output }) };
}

/** The scope with several more outputs under `steps`. */
export function withSteps(scope: Scope, outputs: Readonly<Record<string, Json>>): Scope {
  return { ...scope, steps: dictionary({ ...scope.steps, ...outputs }) };
}

function dictionary(members: Record<string, Json>): Record<string, Json> {
  return Object.assign(Object.create(null) as Record<string, Json>, members);
}
