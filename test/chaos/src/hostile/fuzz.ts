import { chaosJob, jobKinds } from '../campaigns/chaos-jobs.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { invent, nastyValues, spoil } from './invent.ts';
import type { ApiDescription, Operation } from './openapi.ts';

/** What was wrong with an answer. */
export interface FuzzFinding {
  request: string;
  what: string;
}

export interface FuzzReport {
  sent: number;
  /** How often each status came. */
  statuses: ReadonlyMap<number, number>;
  findings: readonly FuzzFinding[];
}

const ANSWER_WITHIN_MS = 10_000;
const TOGETHER = 12;
const insides =
  /node_modules|\.ts:\d+|\bat \w+ \(|SELECT |INSERT INTO|UPDATE \w+ SET|postgres:\/\/|redis:\/\/|ECONN/;

/** Sends requests that the document allows, and spoiled ones; no answer may be a 5xx, come late, or tell of our insides. */
export async function fuzz(
  api: ApiDescription,
  target: { url: string; key: string; knownIds: readonly string[] },
  options: { count: number; random: SeededRandom; progress: (sent: number) => void },
): Promise<FuzzReport> {
  const { random } = options;
  const statuses = new Map<number, number>();
  const findings: FuzzFinding[] = [];
  let sent = 0;
  const one = async (): Promise<void> => {
    while (sent < options.count) {
      sent += 1;
      if (sent % 2_000 === 0) options.progress(sent);
      const made = makeRequest(chooseOperation(api, random), api, target, random);
      const outcome = await send(made);
      if (typeof outcome === 'string') {
        findings.push({ request: made.name, what: outcome });
        continue;
      }
      statuses.set(outcome.status, (statuses.get(outcome.status) ?? 0) + 1);
      if (outcome.status >= 500)
        findings.push({ request: made.name, what: `${outcome.status} ${outcome.text.slice(0, 200)}` });
      const leak = outcome.status >= 400 ? insides.exec(outcome.text) : null;
      if (leak) findings.push({ request: made.name, what: `the answer says "${leak[0]}"` });
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
  return { sent, statuses, findings };
}

/** Jobs are what most of the code is for; then everything that takes a body. */
function chooseOperation({ operations }: ApiDescription, random: SeededRandom): Operation {
  const drawn = random.next();
  const jobs = operations.find(({ method, path }) => method === 'POST' && path === '/v1/jobs');
  if (drawn < 0.3 && jobs) return jobs;
  const writing = operations.filter(({ body, isUpload }) => body !== null || isUpload);
  return random.pick(drawn < 0.6 && writing.length > 0 ? writing : operations);
}

interface MadeRequest {
  name: string;
  url: string;
  init: RequestInit;
}

function makeRequest(
  operation: Operation,
  api: ApiDescription,
  target: { url: string; key: string; knownIds: readonly string[] },
  random: SeededRandom,
): MadeRequest {
  const text = (value: unknown): string =>
    (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 3_000);
  const drawn = (schema: Parameters<typeof invent>[0]): string =>
    text(random.next() < 0.4 ? random.pick(nastyValues)() : invent(schema, api.resolve, random));
  const path = operation.path.replaceAll(
    /\{[^}]+\}/g,
    () =>
      encodeURIComponent(
        random.next() < 0.6
          ? random.pick(target.knownIds)
          : drawn({ type: 'string' }).replaceAll(/[\ud800-\udfff]/g, '?'),
      ) || 'x',
  );
  const query = new URLSearchParams();
  const headers = new Headers({ authorization: `Bearer ${target.key}` });
  for (const parameter of operation.parameters) {
    if (parameter.in === 'query' && random.next() < 0.4)
      query.append(parameter.name, drawn(parameter.schema));
    if (parameter.in === 'header' && parameter.name !== 'Prefer' && random.next() < 0.5) {
      setHeader(headers, parameter.name, drawn(parameter.schema));
    }
  }
  if (operation.path === '/v1/jobs' && random.next() < 0.8)
    headers.set('idempotency-key', `fuzz-${Math.floor(random.next() * 1e9)}`);
  if (random.next() < 0.1)
    query.append(random.pick(['limit', 'x', 'metadata[a]', '__proto__[a]']), drawn({ type: 'string' }));
  const body = makeBody(operation, api, random, headers);
  const url = `${target.url}${path}${query.size === 0 ? '' : `?${query.toString()}`}`;
  return {
    name: `${operation.method} ${operation.path} ${typeof body === 'string' ? body.slice(0, 300) : ''}`,
    url,
    init: { method: operation.method, headers, ...(body === null ? {} : { body }) },
  };
}

function makeBody(
  operation: Operation,
  api: ApiDescription,
  random: SeededRandom,
  headers: Headers,
): string | FormData | null {
  if (operation.isUpload) {
    const form = new FormData();
    form.append('purpose', random.pick(['batch', 'x', '']));
    const line = JSON.stringify(random.pick(nastyValues)()) ?? 'null';
    form.append('file', new Blob([line.slice(0, 5_000)]), random.pick(['a.jsonl', '../a', 'x'.repeat(300)]));
    return form;
  }
  if (operation.body === null) return null;
  const isJob = operation.path === '/v1/jobs' && random.next() < 0.6;
  const names = { run: 'fuzz', key: String(random.next()) };
  const fitting = isJob
    ? chaosJob(random.pick(jobKinds), names).request
    : invent(operation.body, api.resolve, random);
  const value = random.next() < 0.5 ? fitting : spoil(fitting, random);
  headers.set(
    'content-type',
    random.next() < 0.95
      ? 'application/json'
      : random.pick(['text/plain', 'application/xml', 'application/json; charset=utf-16']),
  );
  const json = JSON.stringify(value) ?? 'null';
  return random.next() < 0.05 ? json.slice(0, Math.floor(json.length / 2)) : json;
}

/** What a header cannot carry is not sent: Node's client refuses it, as every honest one. */
function setHeader(headers: Headers, name: string, value: string): void {
  try {
    headers.set(name, value);
  } catch {
    headers.set(name, 'x');
  }
}

async function send({ url, init }: MadeRequest): Promise<{ status: number; text: string } | string> {
  const startedAt = performance.now();
  try {
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) {
      await response.body?.cancel();
      return { status: response.status, text: '' };
    }
    return { status: response.status, text: await response.text() };
  } catch (error) {
    const tookMs = Math.round(performance.now() - startedAt);
    if (tookMs >= ANSWER_WITHIN_MS - 100) return `no answer within ${tookMs} ms`;
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    return `the connection broke: ${cause}`;
  }
}
