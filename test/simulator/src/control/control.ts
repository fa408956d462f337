import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBody } from '../http/read-body.ts';
import { joinJournal } from '../journal.ts';
import { numberOf, objectOf, parseJson } from '../json-value.ts';
import type { Simulator } from '../simulator.ts';

/** What a test or an operator may ask of the simulator itself, under `/_simulator/`. */
export function createControl(
  simulator: Simulator,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const received = await readBody(request, 1_000_000);
    if (received === null) return;
    const url = new URL(request.url ?? '/', 'http://simulator');
    const body = received === 'too_large' || received.text === '' ? {} : parseJson(received.text);
    const operation = `${request.method ?? 'GET'} ${url.pathname.replace('/_simulator', '')}`;
    const { status, answer } = await answerControl(simulator, operation, url.searchParams, body);
    const text = JSON.stringify(answer);
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
}

interface ControlAnswer {
  readonly status: number;
  readonly answer: unknown;
}

async function answerControl(
  simulator: Simulator,
  operation: string,
  query: URLSearchParams,
  body: unknown,
): Promise<ControlAnswer> {
  try {
    const answer = await runControl(simulator, operation, query, body);
    return answer === undefined
      ? { status: 404, answer: { error: `no such operation: ${operation}` } }
      : { status: 200, answer };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { status: 400, answer: { error: error.message } };
  }
}

async function runControl(
  simulator: Simulator,
  operation: string,
  query: URLSearchParams,
  body: unknown,
): Promise<unknown> {
  const { journal, bill, faults, limits, clock, batches } = simulator;
  const removed = /^DELETE \/faults\/(\w+)$/.exec(operation)?.[1];
  if (removed !== undefined) return { removed: faults.remove(removed) };
  switch (operation) {
    case 'GET /health':
      return { status: 'ok' };
    case 'GET /journal': {
      const entries = journal.entries(Number(query.get('after') ?? 0));
      return query.get('joined') === 'true' ? { calls: joinJournal(entries) } : { entries };
    }
    case 'DELETE /journal':
      journal.clear();
      return { cleared: true };
    case 'GET /bill':
      return { total_usd: bill.totalUsd(), lanes: bill.lanes(), lines: bill.lines() };
    case 'DELETE /bill':
      bill.clear();
      return { cleared: true };
    case 'GET /usage':
      return { accounts: limits.usage() };
    case 'DELETE /usage':
      limits.clear();
      return { cleared: true };
    case 'GET /faults':
      return { faults: faults.list() };
    case 'POST /faults':
      return faults.add(body);
    case 'DELETE /faults':
      faults.clear();
      return { cleared: true };
    case 'GET /clock':
      return { now: new Date(clock.nowMs()).toISOString() };
    case 'POST /clock':
      clock.advance(numberOf(objectOf(body)['advance_ms']) ?? 0);
      // Whoever moved the clock finds every batch where it is by then.
      await batches.settle();
      return { now: new Date(clock.nowMs()).toISOString() };
    case 'GET /batches':
      return { batches: batches.describe() };
    case 'GET /config':
      return { ...simulator.config(), keys: undefined };
    case 'PATCH /config':
      simulator.configure(body);
      return { ...simulator.config(), keys: undefined };
    default:
      return undefined;
  }
}
