import { isObject, numberOf, objectOf, type JsonObject } from '../json-value.ts';
import type { Vendor } from '../model-catalogue.ts';
import type { FaultMarker } from '../prompt-markers.ts';
import { isBatchFault, isFaultKind, type Fault, type FaultKind } from './fault-kinds.ts';

/** What is known of a call when it is decided whether it fails. */
export interface FaultSubject {
  readonly dialect: Vendor;
  readonly path: string;
  /** `BATCH` for the line of a batch. */
  readonly method: string;
  readonly model: string | null;
  readonly account: string;
  readonly promptText: string;
  readonly markers: readonly FaultMarker[];
  /** Step id, or the body's hash when the client names none: what `times` is counted by. */
  readonly countBy: string;
}

/** A fault in force for many calls, as `POST /_simulator/faults` takes it. */
export interface FaultRule {
  readonly id: string;
  readonly kind: FaultKind;
  /** Of the calls that match, this share (0 to 1) fails. */
  readonly share: number;
  /** At most this many calls fail; `null`: no end. */
  readonly times: number | null;
  /** In force for this long; `null`: until it is deleted. */
  readonly seconds: number | null;
  readonly match: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly applied: number;
}

export interface FaultRules {
  /** The fault for this call, or null. Counts it. */
  choose(subject: FaultSubject): Fault | null;
  /** All faults of a new batch. Counts them. */
  chooseForBatch(subject: FaultSubject): readonly Fault[];
  /** Throws TypeError with a readable text on a rule that makes no sense. */
  add(input: unknown): FaultRule;
  list(): readonly FaultRule[];
  remove(id: string): boolean;
  clear(): void;
}

const RULE_FIELDS: ReadonlySet<string> = new Set(['kind', 'share', 'times', 'seconds', 'match']);
const MATCH_FIELDS: ReadonlySet<string> = new Set([
  'model',
  'dialect',
  'path',
  'method',
  'lane',
  'account',
  'prompt',
]);

/** The rules in force and the counters of the markers; a marker in the prompt goes before any rule. */
export function createFaultRules(random: () => number, monotonicMs: () => number): FaultRules {
  let rules: (FaultRule & { readonly endsAt: number | null })[] = [];
  let nextId = 1;
  const markerUses = new Map<string, number>();

  function fromMarkers(subject: FaultSubject): Fault | null {
    for (const marker of subject.markers) {
      if (!isFaultKind(marker.kind) || isBatchFault(marker.kind) || !matches(marker.parameters, subject))
        continue;
      const times = marker.parameters['times'];
      if (times !== undefined) {
        const key = `${subject.countBy}|${marker.text}`;
        const used = markerUses.get(key) ?? 0;
        if (used >= Number(times)) continue;
        markerUses.set(key, used + 1);
      }
      return { kind: marker.kind, parameters: marker.parameters };
    }
    return null;
  }

  function* fromRules(subject: FaultSubject, ofBatches: boolean): Generator<Fault, null> {
    for (const [index, rule] of rules.entries()) {
      if (isBatchFault(rule.kind) !== ofBatches) continue;
      if (rule.endsAt !== null && monotonicMs() >= rule.endsAt) continue;
      if (rule.times !== null && rule.applied >= rule.times) continue;
      if (!matches(rule.match, subject)) continue;
      if (rule.share < 1 && random() >= rule.share) continue;
      rules[index] = { ...rule, applied: rule.applied + 1 };
      yield { kind: rule.kind, parameters: rule.parameters };
    }
    return null;
  }

  return {
    choose: (subject) => fromMarkers(subject) ?? fromRules(subject, false).next().value,
    chooseForBatch: (subject) => [...fromRules(subject, true)],
    add(input) {
      const rule = readRule(input, `fault_${nextId}`);
      nextId += 1;
      rules.push({ ...rule, endsAt: rule.seconds === null ? null : monotonicMs() + rule.seconds * 1_000 });
      return rule;
    },
    list: () => rules,
    remove(id) {
      const before = rules.length;
      rules = rules.filter((rule) => rule.id !== id);
      return rules.length < before;
    },
    clear() {
      rules = [];
      markerUses.clear();
    },
  };
}

function matches(match: Readonly<Record<string, string>>, subject: FaultSubject): boolean {
  const { model, dialect, path, method, lane, account, prompt } = match;
  if (model !== undefined && subject.model !== model) return false;
  if (dialect !== undefined && subject.dialect !== dialect) return false;
  if (path !== undefined && !pathMatches(path, subject.path)) return false;
  if (method !== undefined && subject.method !== method) return false;
  if (lane !== undefined && (subject.method === 'BATCH' ? 'batch' : 'realtime') !== lane) return false;
  if (account !== undefined && subject.account !== account) return false;
  return prompt === undefined || subject.promptText.includes(prompt);
}

/** A part of the path, or its end where a `$` says so. */
function pathMatches(wanted: string, path: string): boolean {
  return wanted.endsWith('$') ? path.endsWith(wanted.slice(0, -1)) : path.includes(wanted);
}

function readRule(input: unknown, id: string): FaultRule {
  if (!isObject(input)) throw new TypeError('a fault rule must be a JSON object');
  const kind = input['kind'];
  if (typeof kind !== 'string' || !isFaultKind(kind)) {
    throw new TypeError(`unknown fault kind ${JSON.stringify(kind)}`);
  }
  const match = textFields(objectOf(input['match']));
  for (const field of Object.keys(match)) {
    if (!MATCH_FIELDS.has(field)) throw new TypeError(`unknown match field ${field}`);
  }
  const ofLines = typeof input['kinds'] === 'string' ? input['kinds'].split(',') : [];
  for (const each of ofLines) {
    if (!isFaultKind(each.trim())) throw new TypeError(`unknown fault kind ${JSON.stringify(each)}`);
  }
  const parameters = Object.fromEntries(Object.entries(input).filter(([key]) => !RULE_FIELDS.has(key)));
  return {
    id,
    kind,
    share: numberOf(input['share']) ?? 1,
    times: numberOf(input['times']),
    seconds: numberOf(input['seconds']),
    match,
    parameters: textFields(parameters),
    applied: 0,
  };
}

function textFields(fields: JsonObject): Record<string, string> {
  const entries = Object.entries(fields).filter(
    ([, value]) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean',
  );
  return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
}
