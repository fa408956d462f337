export { jobsQueue, poolQueue, webhooksQueue } from './queues/queue-names.ts';
export { createLiveFeed } from './live/live-feed.ts';
export type { CancelListener, LiveFeed, LiveWatcher } from './live/live-feed.ts';
export type { LiveMessage, StoredDelta } from './live/live-message.ts';
export { createLivePublisher } from './live/live-publisher.ts';
export type { LivePublisher } from './live/live-publisher.ts';
export { createBoardAdapters } from './queues/board-adapters.ts';
export { createConsumer } from './queues/consumer.ts';
export type { WakeContext, ConsumerOptions, Consumer } from './queues/consumer.ts';
export { hasEpoch, markEpoch } from './queues/epoch.ts';
export { measureBacklog, measureQueues } from './queues/measure-queues.ts';
export type { QueueReading } from './queues/measure-queues.ts';
export { createProducer } from './queues/producer.ts';
export { announceRouteChange, onRouteChange } from './routes/route-signals.ts';
export type {
  JobWakeRequest,
  StepWakeRequest,
  DeliveryWakeRequest,
  Producer,
  ProducerOptions,
} from './queues/producer.ts';
