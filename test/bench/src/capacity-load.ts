/**
 * One worker process of `capacity-utilisation.ts`: sends as much as its limiter lets it. Says that it is ready, is told
 * everything by one message, and answers with one at its end.
 */
import { closeRedis, connectRedis, keyNames } from '@millrace/redis';
import { createCapacityBook } from '@millrace/capacity';
import type { DomainLimits } from '@millrace/capacity';
import { randomTokens, sendCall } from './capacity-call.ts';
import type { CallAddress } from './capacity-call.ts';
import { loadBottleneck, loadBullmq } from './capacity-peers.ts';

/** What a worker process is told. */
export interface LoadOrder {
  limiter: 'book' | 'bullmq' | 'bottleneck';
  redisUrl: string;
  address: CallAddress;
  limits: { requests: number | null; tokens: number | null };
  /** The time that the limits are for, which the simulator counts as it slides. */
  windowMs: number;
  /** For BullMQ and bottleneck: the time for which they are told their part of the limit. */
  peerWindowMs: number;
  endsAt: number;
  callers: number;
  index: number;
}

/** What a worker process saw. */
export interface LoadReport {
  sent: number;
  refused: number;
  late: number;
  /** By call: when it was booked to leave. */
  departures: [id: string, at: number, sentAt: number][];
  warnings: string[];
  /** The largest share of a limit that was ever set aside for others. */
  outside: number;
}

/** Sends calls through the book until the end. */
async function loadBook(order: LoadOrder): Promise<LoadReport> {
  const report: LoadReport = { sent: 0, refused: 0, late: 0, departures: [], warnings: [], outside: 0 };
  const onError = (error: unknown): void => void report.warnings.push(String(error));
  const redis = connectRedis({ url: order.redisUrl, role: 'producer', name: 'load', onError });
  await new Promise((resolve) => redis.once('ready', resolve));
  const limits: DomainLimits = { windowMs: order.windowMs };
  if (order.limits.requests !== null) limits.requests = order.limits.requests;
  if (order.limits.tokens !== null) limits.tokens = order.limits.tokens;
  const book = createCapacityBook({
    redis,
    names: keyNames('bench'),
    onError,
    domains: new Map([['openai', limits]]),
    hooks: {
      onLate: () => void (report.late += 1),
      onRefusal: ({ isFirst, reading }) => void (isFirst && report.warnings.push(JSON.stringify(reading))),
      onLimitChanged: (change) => void report.warnings.push(JSON.stringify(change)),
    },
  });
  const heartbeat = setInterval(() => void book.renew(), 10_000);
  const watching = setInterval(() => {
    void book.read('openai').then((reading) => {
      for (const use of Object.values(reading?.limits ?? {})) {
        report.outside = Math.max(report.outside, use.outside / use.limit);
      }
    });
  }, 1_000);
  const send = async (): Promise<void> => {
    while (Date.now() < order.endsAt) {
      const tokens = randomTokens();
      // A call keeps its size until it has left: else small ones would be preferred.
      for (;;) {
        const reservation = await book.reserve('openai', { inputTokens: 4, maxOutputTokens: tokens });
        if (reservation.verdict === 'wait') {
          if (Date.now() + reservation.waitMs > order.endsAt) return;
          await new Promise((resolve) =>
            setTimeout(resolve, reservation.waitMs * (0.8 + 0.2 * Math.random())),
          );
          continue;
        }
        if (reservation.verdict !== 'leave') throw new Error(reservation.verdict);
        const { booking } = reservation;
        // Redis could not be asked in time; what leaves without the book says nothing of it.
        if (!booking) continue;
        report.departures.push([booking.id, booking.departsAt, Date.now()]);
        const answer = await sendCall(order.address, booking.id, tokens);
        report.sent += 1;
        await book.observe('openai', answer.limits, booking, answer.arrivedBy);
        const refused = answer.status === 429;
        if (refused) {
          report.refused += 1;
          await book.reportRefusal('openai', answer.retryAfterMs, booking);
        }
        await book.settle(booking, { sent: true, refused, usage: null, arrivedBy: answer.arrivedBy });
        if (!refused) break;
      }
    }
  };
  await Promise.all(Array.from({ length: order.callers }, send));
  clearInterval(heartbeat);
  clearInterval(watching);
  await closeRedis(redis);
  return report;
}

process.send?.('ready');
process.once('message', (order: LoadOrder) => {
  const loads = { book: loadBook, bullmq: loadBullmq, bottleneck: loadBottleneck };
  void loads[order.limiter](order).then((report) =>
    process.send?.(report, () => {
      process.exit(0);
    }),
  );
});
