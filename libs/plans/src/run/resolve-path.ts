import type { Json } from '@millrace/contracts';
import type { Scope } from './scope.ts';

/** What a path such as `steps.outline.sections[0]` names in the scope; undefined when it names nothing. */
export function resolvePath(scope: Scope, path: string): Json | undefined {
  let value: unknown = scope;
  for (const segment of path.match(/[^.[\]]+/g) ?? []) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<string, unknown>)[segment];
  }
  return value as Json | undefined;
}
