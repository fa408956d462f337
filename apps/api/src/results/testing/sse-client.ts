import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';

/** One event as it came over the wire. */
export interface ReceivedEvent {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

/** An open event stream, read as a browser would (WHATWG HTML, section 9.2), but by code of the tests alone. */
export interface SseConnection {
  status: number;
  headers: IncomingMessage['headers'];
  events: ReceivedEvent[];
  comments: string[];
  retry: string | null;
  /** Whole body for an answer that is no event stream. */
  body: () => string;
  /** Resolves when the answer has ended or was cut: true if the server ended it properly. */
  ended: Promise<boolean>;
  /** Stops and goes on taking data from the connection. */
  pause(): void;
  resume(): void;
  /** Drops the connection; what arrived after the last complete event is lost. */
  cut(): void;
}

export async function openSse(
  url: string,
  options: {
    headers?: Record<string, string>;
    onEvent?: (event: ReceivedEvent, connection: SseConnection) => void;
  } = {},
): Promise<SseConnection> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request(url, { headers: options.headers ?? {}, agent: false }, resolve);
    outgoing.on('error', reject);
    outgoing.end();
  });
  const events: ReceivedEvent[] = [];
  const comments: string[] = [];
  let rest = '';
  let isCut = false;
  const connection: SseConnection = {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    comments,
    retry: null,
    body: () => rest,
    ended: new Promise((resolve) => {
      response.on('close', () => resolve(response.complete && !isCut));
    }),
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    cut() {
      isCut = true;
      response.destroy();
    },
  };
  response.setEncoding('utf8');
  response.on('error', () => undefined);
  response.on('data', (text: string) => {
    rest += text;
    if (!String(response.headers['content-type']).startsWith('text/event-stream')) return;
    for (let end = rest.indexOf('\n\n'); end >= 0 && !isCut; end = rest.indexOf('\n\n')) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      take(block);
    }
  });

  function take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      if (line.startsWith(':')) comments.push(line.slice(1).trim());
      else fields.set(line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2));
    }
    connection.retry = fields.get('retry') ?? connection.retry;
    const data = fields.get('data');
    if (data === undefined) return;
    const event = {
      id: fields.get('id')!,
      event: fields.get('event')!,
      data: JSON.parse(data) as Record<string, unknown>,
    };
    events.push(event);
    options.onEvent?.(event, connection);
  }
  return connection;
}
