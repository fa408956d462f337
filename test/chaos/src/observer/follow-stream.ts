import { setTimeout as pause } from 'node:timers/promises';
import type { ClientEntry } from './journals.ts';

const terminal = /^job\.(completed|failed|cancelled|expired)$/;
const RECONNECT_AFTER_MS = 200;

interface Following {
  run: string;
  jobId: string;
  apiUrl: string;
  headers: Record<string, string>;
  /** The connection is cut after so many events on average; null: never. */
  cutEvery: number | null;
  seed: number;
  patienceMs: number;
}

/**
 * Follows a job's events as a browser would: whenever the connection ends it comes back with the last id it saw, until the
 * terminal event. It also cuts connections itself. `ended`, or null when patience ran out.
 */
export async function followStream(
  following: Following,
  note: (entry: ClientEntry) => void,
): Promise<'ended' | null> {
  const { run, jobId } = following;
  const random = seeded(following.seed);
  const deadlineAt = performance.now() + following.patienceMs;
  let lastId = 0;
  for (let connection = 1; performance.now() < deadlineAt; connection += 1) {
    let cutIn = following.cutEvery === null ? Infinity : 1 + Math.floor(random() * 2 * following.cutEvery);
    let why = 'the server ended it';
    const giveUp = AbortSignal.timeout(Math.max(1, Math.ceil(deadlineAt - performance.now())));
    try {
      const response = await fetch(`${following.apiUrl}/v1/jobs/${jobId}/events`, {
        headers: { ...following.headers, ...(lastId === 0 ? {} : { 'last-event-id': String(lastId) }) },
        signal: giveUp,
      });
      if (response.status === 204) return 'ended';
      if (response.status !== 200 || !response.body) {
        why = `status ${response.status}`;
        await response.body?.cancel();
      } else {
        note({ kind: 'connected', at: now(), run, jobId, connection, after: lastId });
        for await (const event of readEvents(response.body)) {
          lastId = event.id;
          note({ kind: 'event', at: now(), run, jobId, connection, ...event });
          if (terminal.test(event.type)) return 'ended';
          if (--cutIn <= 0) {
            why = 'cut by the client';
            break;
          }
        }
      }
    } catch (error) {
      why = error instanceof Error ? error.name : String(error);
    }
    note({ kind: 'disconnected', at: now(), run, jobId, connection, why });
    await pause(why === 'cut by the client' ? random() * 50 : RECONNECT_AFTER_MS);
  }
  return null;
}

/** The events of a stream of Server-Sent Events (WHATWG HTML, section 9.2.6), as far as this API uses them. */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<{ id: number; type: string; step: string | null; text: string | null }> {
  let rest = '';
  let fields = new Map<string, string>();
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        const data = fields.get('data');
        if (data !== undefined) yield toEvent(fields, data);
        fields = new Map();
        continue;
      }
      const colon = line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trimStart());
    }
  }
}

function toEvent(fields: ReadonlyMap<string, string>, data: string) {
  const { step, text } = JSON.parse(data) as { step?: string; text?: string };
  return {
    id: Number(fields.get('id')),
    type: fields.get('event') ?? '',
    step: step ?? null,
    text: text ?? null,
  };
}

function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function now(): string {
  return new Date().toISOString();
}
