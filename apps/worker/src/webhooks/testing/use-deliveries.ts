import { lookup } from 'node:dns';
import type { DeliveryRecord, EndpointRecord } from '@millrace/ledger';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { defaultDeliverySettings } from '../deliver.ts';
import type { DeliveryDependencies } from '../deliver.ts';
import { openLedgerFixture } from './ledger-fixture.ts';
import type { LedgerFixture } from './ledger-fixture.ts';
import { startReceiver } from './receiver.ts';
import type { Arrival, Receiver } from './receiver.ts';

/** What a delivery told those around it. */
export interface Observed {
  logged: Record<string, unknown>[];
  enqueued: [string, number, number][];
  tries: string[];
}

/** The body of a webhook. */
export interface ReceivedEvent {
  id: string;
  object: string;
  type: string;
  created_at: number;
  timestamp: string;
  thin?: boolean;
  data: Record<string, unknown>;
}

/** What a test works with; ids are those of the test's own tenant. */
export interface Deliveries {
  readonly ledger: LedgerFixture;
  readonly receiver: Receiver;
  readonly tenantId: string;
  dependencies(
    extra?: Partial<Omit<DeliveryDependencies, 'settings'>> & {
      settings?: Partial<DeliveryDependencies['settings']>;
    },
  ): DeliveryDependencies & Observed;
  failWith(status: number, headers?: Record<string, string>): void;
  /** Holds the answer back until the returned function is called. */
  holdAnswer(status: number): () => void;
  /** A finished job whose webhook goes to an endpoint. */
  toEndpoint(
    output?: string,
  ): Promise<{ endpoint: { id: string; secret: string }; jobId: string; deliveryId: string }>;
  /** A finished job that named the URL itself. */
  toJobUrl(url?: string): Promise<{ jobId: string; deliveryId: string }>;
  delivery(deliveryId: string): Promise<DeliveryRecord>;
  endpoint(endpointId: string): Promise<EndpointRecord>;
  tenantSecret(): Promise<string>;
}

/** One ledger per test file; a receiver and a tenant of its own per test. Call it at the top of a test file. */
export function useDeliveries(): Deliveries {
  const state: { ledger?: LedgerFixture; receiver?: Receiver; tenant: number } = { tenant: 0 };
  beforeAll(async () => {
    state.ledger = await openLedgerFixture();
  });
  afterAll(() => state.ledger?.close());
  beforeEach(async () => {
    state.receiver = await startReceiver();
    state.tenant += 1;
  });
  afterEach(() => state.receiver?.close());

  const harness: Deliveries = {
    get ledger(): LedgerFixture {
      return expected(state.ledger);
    },
    get receiver(): Receiver {
      return expected(state.receiver);
    },
    get tenantId(): string {
      return `tenant-${state.tenant}`;
    },
    dependencies(extra = {}) {
      const logged: Record<string, unknown>[] = [];
      const enqueued: [string, number, number][] = [];
      const tries: string[] = [];
      return {
        database: harness.ledger.database,
        enqueueDelivery: async (id, fence, delayMs) => void enqueued.push([id, fence, delayMs]),
        log: { info: (fields) => void logged.push(fields) },
        onTry: ({ outcome }) => void tries.push(outcome),
        now: Date.now,
        random: () => 0,
        lookup,
        logged,
        enqueued,
        tries,
        ...extra,
        settings: { ...defaultDeliverySettings, listedHosts: [harness.receiver.host], ...extra.settings },
      };
    },
    failWith(status, headers = {}) {
      harness.receiver.answerWith((response) => response.writeHead(status, headers).end());
    },
    holdAnswer(status) {
      let release = (): void => {};
      harness.receiver.answerWith((response) => {
        release = () => response.writeHead(status).end();
      });
      return () => release();
    },
    async toEndpoint(output = 'done') {
      const endpoint = await harness.ledger.addEndpoint(harness.tenantId, harness.receiver.url);
      const job = await harness.ledger.finishJob({ tenantId: harness.tenantId, output });
      return { endpoint, jobId: job.jobId, deliveryId: expected(job.deliveryIds[0]) };
    },
    async toJobUrl(url = harness.receiver.url) {
      const job = await harness.ledger.finishJob({ tenantId: harness.tenantId, url });
      return { jobId: job.jobId, deliveryId: expected(job.deliveryIds[0]) };
    },
    delivery: (deliveryId) => harness.ledger.delivery(harness.tenantId, deliveryId),
    endpoint: (endpointId) => harness.ledger.endpoint(harness.tenantId, endpointId),
    async tenantSecret() {
      const [row] = await harness.ledger.database.query<{ secret: string }>(
        'SELECT webhook_secret AS secret FROM tenants WHERE id = $1',
        [harness.tenantId],
      );
      return expected(row).secret;
    },
  };
  return harness;
}

/** The event of an arrival whose signature is good; throws when it is not. */
export function verified(arrival: Arrival, secret: string): ReceivedEvent {
  return new Webhook(secret).verify(arrival.body, arrival.headers) as ReceivedEvent;
}

function expected<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the set-up of the test did not run');
  return value;
}
