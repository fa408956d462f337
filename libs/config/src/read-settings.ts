import { closest, distance } from 'fastest-levenshtein';
import { settings } from './settings.ts';
import type { Setting, SettingName } from './settings.ts';

/** The environment as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads every setting from the environment. An empty variable counts as not set. Unknown names that begin with
 * `MILLRACE_` are problems, with the nearest known name.
 */
export function readSettings(environment: Environment = process.env): {
  values: Record<SettingName, unknown>;
  problems: string[];
} {
  const problems = unknownNames(environment);
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of Object.keys(settings) as SettingName[]) {
    const setting: Setting = settings[name];
    const given = environment[name] === '' ? undefined : environment[name];
    const text = given ?? setting.default;
    if (text === null) {
      values[name] = null;
      continue;
    }
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) values[name] = parsed.data;
    else
      problems.push(
        `${name}=${shown(name, text)}: expected ${parsed.error.issues.map((issue) => issue.message).join(', ')}`,
      );
  }
  return { values: values as Record<SettingName, unknown>, problems };
}

function unknownNames(environment: Environment): string[] {
  const known = Object.keys(settings);
  return Object.keys(environment)
    .filter((name) => name.startsWith('MILLRACE_') && !known.includes(name))
    .map((name) => {
      const nearest = closest(name, known);
      const hint = distance(name, nearest) <= 8 ? `; did you mean ${nearest}?` : '';
      return `${name} is not a setting${hint}`;
    });
}

/** Addresses and keys may carry secrets, so their values are not repeated. */
function shown(name: string, text: string): string {
  return /KEY$|_URL$/.test(name) ? '…' : JSON.stringify(text);
}
