/**
 * Orders to the simulator inside a prompt: `[[sim:name=value;key=value]]`. They steer the answer of exactly
 * the call whose prompt holds them, and are never part of an answer.
 */
export interface PromptMarkers {
  /** `[[sim:fault=kind;times=2;…]]`, in the order in which they stand. */
  readonly faults: readonly FaultMarker[];
  /** `[[sim:reply=…]]`: the literal answer. */
  readonly reply: string | null;
  /** `[[sim:tokens=200]]`: an answer of that many tokens. */
  readonly tokens: number | null;
  /** `[[sim:latency=500]]`: milliseconds to the first token. */
  readonly latencyMs: number | null;
  /** `[[sim:tps=20]]`: tokens per second. */
  readonly tokensPerSecond: number | null;
  /** `[[sim:unsure]]`: low log probabilities. */
  readonly unsure: boolean;
  /** `[[sim:reasoning=300]]`: reasoning tokens spent. */
  readonly reasoningTokens: number | null;
  /** `[[sim:cached=1024]]`: input tokens billed as cached. */
  readonly cachedTokens: number | null;
  /** `[[sim:tool=name]]`: call this tool instead of answering. */
  readonly tool: string | null;
  /** `[[sim:stamps]]`: each token is the wall clock in milliseconds at which it was written. */
  readonly stamps: boolean;
}

export interface FaultMarker {
  readonly kind: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** The marker as it stands in the prompt: it names its own counter. */
  readonly text: string;
}

const MARKER = /\[\[sim:([a-z0-9_]+)(?:=([\s\S]*?))?\]\]/g;

export function readMarkers(prompt: string): PromptMarkers {
  const faults: FaultMarker[] = [];
  const values = new Map<string, string>();
  if (prompt.includes('[[sim:')) {
    for (const [text, name = '', value = ''] of prompt.matchAll(MARKER)) {
      if (name === 'fault') faults.push(readFault(text, value));
      else values.set(name, value);
    }
  }
  const encoded = values.get('reply_base64');
  return {
    faults,
    reply:
      encoded === undefined ? (values.get('reply') ?? null) : Buffer.from(encoded, 'base64').toString('utf8'),
    tokens: numberIn(values.get('tokens')),
    latencyMs: numberIn(values.get('latency')),
    tokensPerSecond: numberIn(values.get('tps')),
    unsure: values.has('unsure'),
    reasoningTokens: numberIn(values.get('reasoning')),
    cachedTokens: numberIn(values.get('cached')),
    tool: values.get('tool') ?? null,
    stamps: values.has('stamps'),
  };
}

/** The prompt as the "model" reads it. */
export function withoutMarkers(text: string): string {
  return text.includes('[[sim:') ? text.replace(MARKER, '').replace(/[ \t]{2,}/g, ' ') : text;
}

function readFault(text: string, value: string): FaultMarker {
  const [kind = '', ...pairs] = value.split(';').map((part) => part.trim());
  const parameters: Record<string, string> = {};
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    if (equals > 0) parameters[pair.slice(0, equals).trim()] = pair.slice(equals + 1).trim();
  }
  return { kind, parameters, text };
}

function numberIn(text: string | undefined): number | null {
  if (text === undefined || text.trim() === '') return null;
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}
