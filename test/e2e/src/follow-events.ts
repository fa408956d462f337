import { createParser } from 'eventsource-parser';

/** One event of a job's stream. */
export interface StreamedEvent {
  id: number;
  type: string;
  data: Record<string, unknown>;
}

type Send = (
  path: string,
  init: { headers?: Record<string, string>; signal: AbortSignal },
) => Promise<Response>;

/**
 * Reads a job's events after one of them until the stream ends or `enough` says so; then the connection is cut, and what has come
 * with the last event is dropped: how much that is depends on who had processor time.
 */
export async function readEvents(
  send: Send,
  jobId: string,
  lastEventId: number | null,
  enough: (events: readonly StreamedEvent[]) => boolean,
): Promise<{ events: StreamedEvent[]; cut: boolean }> {
  const events: StreamedEvent[] = [];
  let isCut = false;
  const parser = createParser({
    onEvent: ({ id, event, data }) => {
      if (isCut) return;
      const parsed = JSON.parse(data) as Record<string, unknown>;
      events.push({ id: Number(id), type: event ?? '', data: parsed });
      isCut = enough(events);
    },
  });
  const response = await send(`/v1/jobs/${jobId}/events`, {
    ...(lastEventId === null ? {} : { headers: { 'last-event-id': String(lastEventId) } }),
    signal: AbortSignal.timeout(30_000),
  });
  if (response.status === 204) return { events, cut: false };
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { events, cut: false };
    parser.feed(value);
    if (!isCut) continue;
    await reader.cancel();
    return { events, cut: true };
  }
}

/** The text of each step as a client shows it: a step that starts again drops what it had. */
export function textOfSteps(events: readonly StreamedEvent[]): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { type, data } of events) {
    const step = String(data['step']);
    if (type === 'step.retried') texts.set(step, '');
    if (type === 'step.delta') texts.set(step, (texts.get(step) ?? '') + String(data['text']));
  }
  return texts;
}
