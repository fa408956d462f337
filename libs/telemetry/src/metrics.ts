import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** From 1 ms to 10 minutes. */
const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** Of an estimate to the truth: below 1 it was too small. */
const RATIOS = [0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 8, 16];

/** Every metric of Millrace by name. Each process registers all of them and moves those that are its own. */
export interface Metrics {
  registry: Registry;
  requests: Counter<'method' | 'route' | 'status'>;
  requestSeconds: Histogram<'method' | 'route'>;
  jobsAccepted: Counter<'type' | 'priority' | 'outcome'>;
  enqueueFailures: Counter<'queue'>;
  jobsEnded: Counter<'type' | 'status'>;
  jobSeconds: Histogram<'type'>;
  calls: Counter<'target' | 'outcome'>;
  callErrors: Counter<'target' | 'code'>;
  callTokens: Counter<'target' | 'kind'>;
  callCostUsd: Counter<'target'>;
  callQueueSeconds: Histogram<'pool'>;
  callFirstTokenSeconds: Histogram<'target'>;
  callSeconds: Histogram<'target'>;
  callsUnderWay: Gauge<'pool'>;
  staleAnswers: Counter;
  ambiguousCalls: Counter<'target'>;
  providerRateLimits: Counter<'pool'>;
  limitChanges: Counter<'pool' | 'dimension'>;
  highUse: Counter<'pool'>;
  lateDepartures: Counter<'pool'>;
  breakersOpened: Counter<'target'>;
  inputEstimates: Histogram<'target'>;
  outputEstimates: Histogram;
  degradedSteps: Counter<'how'>;
  deliveries: Counter<'outcome'>;
  deliverySeconds: Histogram;
  reconciled: Counter<'kind'>;
  stepsRaised: Counter;
  transportLosses: Counter;
  leader: Gauge;
  limits: Gauge<'pool' | 'dimension'>;
  limitUse: Gauge<'pool' | 'dimension'>;
  limitOutside: Gauge<'pool' | 'dimension'>;
  limitShare: Gauge<'pool'>;
  wantedConcurrency: Gauge<'pool'>;
  grantedConcurrency: Gauge<'pool'>;
  feedableConcurrency: Gauge<'pool'>;
  bottleneck: Gauge<'pool' | 'reason'>;
  wantedWorkers: Gauge;
  liveWorkers: Gauge;
  openJobs: Gauge<'status'>;
  openSteps: Gauge<'pool' | 'status' | 'priority'>;
  oldestStepSeconds: Gauge<'pool'>;
  pendingDeliveries: Gauge;
  overdueSeconds: Gauge;
  queueJobs: Gauge<'queue' | 'state'>;
  watchers: Gauge<'kind'>;
  batchCollected: Gauge<'target'>;
  batchCollectedSeconds: Gauge<'target'>;
  batches: Gauge<'target' | 'state'>;
  batchesEnded: Counter<'target' | 'outcome'>;
  batchLines: Counter<'target' | 'outcome'>;
  batchSeconds: Histogram<'target'>;
  batchEscapes: Counter<'reason'>;
  batchPaidTwice: Counter<'target'>;
  batchPaidTwiceUsd: Counter<'target'>;
  batchSavedUsd: Counter<'target'>;
  batchUsageMismatches: Counter<'target'>;
}

/** Makes a registry with all metrics and the process's own (CPU, memory, event-loop lag). */
export function createMetrics(app: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ app });
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name: `millrace_${name}`, help, labelNames, registers: [registry] });
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name: `millrace_${name}`, help, labelNames, registers: [registry] });
  const histogram = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    new Histogram({ name: `millrace_${name}`, help, labelNames, buckets: SECONDS, registers: [registry] });
  return {
    registry,
    requests: counter('http_requests_total', 'Requests answered.', ['method', 'route', 'status']),
    requestSeconds: histogram('http_request_seconds', 'Time to answer a request.', ['method', 'route']),
    jobsAccepted: counter('jobs_accepted_total', 'Submissions by outcome.', ['type', 'priority', 'outcome']),
    enqueueFailures: counter('enqueue_failures_total', 'Wakes the transport refused; reconciled later.', [
      'queue',
    ]),
    jobsEnded: counter('jobs_ended_total', 'Jobs that reached a terminal state.', ['type', 'status']),
    jobSeconds: histogram('job_seconds', 'From acceptance to the terminal state.', ['type']),
    calls: counter('calls_total', 'Provider calls by outcome.', ['target', 'outcome']),
    callErrors: counter('call_errors_total', 'Calls that failed, by code of the error catalogue.', [
      'target',
      'code',
    ]),
    callTokens: counter('call_tokens_total', 'Tokens billed, by kind.', ['target', 'kind']),
    callCostUsd: counter('call_cost_usd_total', 'Cost by the price catalogue.', ['target']),
    callQueueSeconds: histogram('call_queue_seconds', 'From a step being wanted to its call leaving.', [
      'pool',
    ]),
    callFirstTokenSeconds: histogram('call_first_token_seconds', 'From sending to the first text.', [
      'target',
    ]),
    callSeconds: histogram('call_seconds', 'From sending to the end of the answer.', ['target']),
    callsUnderWay: gauge('calls_under_way', 'Calls this process has open.', ['pool']),
    staleAnswers: counter('stale_answers_total', 'Answers refused because of an old fence.'),
    ambiguousCalls: counter('ambiguous_calls_total', 'Calls sent whose answer was lost.', ['target']),
    providerRateLimits: counter('provider_rate_limits_total', 'Refusals for the rate by a provider.', [
      'pool',
    ]),
    limitChanges: counter('limit_changes_total', 'Limits that a provider changed, by its headers.', [
      'pool',
      'dimension',
    ]),
    highUse: counter(
      'limit_high_use_total',
      'Times that a limit was used above high_use_share for a minute.',
      ['pool'],
    ),
    lateDepartures: counter('late_departures_total', 'Calls booked anew because the process was late.', [
      'pool',
    ]),
    breakersOpened: counter('breakers_opened_total', 'Times that the breaker of a target opened.', [
      'target',
    ]),
    inputEstimates: new Histogram({
      name: 'millrace_input_estimate_ratio',
      help: 'Estimated input tokens over those counted by the provider.',
      labelNames: ['target'],
      buckets: RATIOS,
      registers: [registry],
    }),
    outputEstimates: new Histogram({
      name: 'millrace_output_estimate_ratio',
      help: 'Estimated output tokens over those produced.',
      buckets: RATIOS,
      registers: [registry],
    }),
    degradedSteps: counter(
      'degraded_steps_total',
      'Steps of routes that were down: sent to the last resort, or answered with an earlier answer.',
      ['how'],
    ),
    deliveries: counter('webhook_tries_total', 'Webhook tries by outcome.', ['outcome']),
    deliverySeconds: histogram('webhook_try_seconds', 'Time of one webhook try.'),
    reconciled: counter('reconciled_total', 'Overdue rows whose wake was put back.', ['kind']),
    stepsRaised: counter('steps_raised_total', 'Steps raised a class because they waited for long.', []),
    transportLosses: counter(
      'transport_losses_total',
      'Times that Redis was found to have lost its content.',
    ),
    leader: gauge('scheduler_leader', '1 in the scheduler that leads.'),
    limits: gauge('limit', 'Limits in force, per minute; calls at a time.', ['pool', 'dimension']),
    limitUse: gauge('limit_used', 'What our calls hold of the limits.', ['pool', 'dimension']),
    limitOutside: gauge('limit_outside', 'What others who use the account hold of the limits.', [
      'pool',
      'dimension',
    ]),
    limitShare: gauge(
      'limit_share',
      'What may be filled of each limit; 1 but after a request to slow down.',
      ['pool'],
    ),
    wantedConcurrency: gauge('scaling_wanted_concurrency', 'Calls that should run at a time.', ['pool']),
    grantedConcurrency: gauge('scaling_granted_concurrency', 'Calls that the live workers may run.', [
      'pool',
    ]),
    feedableConcurrency: gauge('scaling_feedable_concurrency', 'Calls that the limits can feed.', ['pool']),
    bottleneck: gauge('scaling_bottleneck', '1 for what decides the wanted concurrency.', ['pool', 'reason']),
    wantedWorkers: gauge('scaling_wanted_workers', 'Worker processes that there should be.'),
    liveWorkers: gauge('scaling_live_workers', 'Worker processes that were heard of lately.'),
    openJobs: gauge('jobs_open', 'Jobs that have not ended, by state.', ['status']),
    openSteps: gauge('steps_open', 'Steps that have not ended.', ['pool', 'status', 'priority']),
    oldestStepSeconds: gauge('steps_oldest_age_seconds', 'Age of the oldest waiting step.', ['pool']),
    pendingDeliveries: gauge('webhook_deliveries_pending', 'Deliveries that are still tried.'),
    overdueSeconds: gauge('ledger_overdue_seconds', 'How long the longest overdue row has been overdue.'),
    queueJobs: gauge('queue_jobs', 'BullMQ jobs by queue and state.', ['queue', 'state']),
    batchCollected: gauge('batch_collected', 'Steps that wait for a provider batch.', ['target']),
    batchCollectedSeconds: gauge('batch_collected_oldest_age_seconds', 'Age of the oldest of them.', [
      'target',
    ]),
    batches: gauge('provider_batches_open', 'Provider batches that have not ended, by state.', [
      'target',
      'state',
    ]),
    batchesEnded: counter('provider_batches_ended_total', 'Provider batches that ended.', [
      'target',
      'outcome',
    ]),
    batchLines: counter('batch_lines_total', 'Lines of provider batches by what became of them.', [
      'target',
      'outcome',
    ]),
    batchSeconds: new Histogram({
      name: 'millrace_provider_batch_seconds',
      help: 'From submission to the end of a provider batch.',
      labelNames: ['target'],
      buckets: [10, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400],
      registers: [registry],
    }),
    batchEscapes: counter('batch_escapes_total', 'Steps that left the batch lane for realtime.', ['reason']),
    batchPaidTwice: counter('batch_paid_twice_total', 'Lines answered after their steps had left.', [
      'target',
    ]),
    batchPaidTwiceUsd: counter('batch_paid_twice_usd_total', 'What those lines cost.', ['target']),
    batchSavedUsd: counter('batch_saved_usd_total', 'What realtime would have cost more.', ['target']),
    batchUsageMismatches: counter('batch_usage_mismatches_total', 'Batches whose bill differs from ours.', [
      'target',
    ]),
    watchers: gauge('watchers', 'Open long polls and event streams.', ['kind']),
  };
}
