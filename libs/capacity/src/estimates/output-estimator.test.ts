import { afterAll, beforeAll, expect, test } from 'vitest';
import { keyNames } from '@millrace/redis';
import { openTestBooks } from '../testing/test-book.ts';
import type { TestBooks } from '../testing/test-book.ts';
import { bucketOf, upperEdgeOf } from './length-buckets.ts';
import { createOutputEstimator } from './output-estimator.ts';

let books: TestBooks;
beforeAll(async () => {
  books = await openTestBooks();
});
afterAll(() => books.close());

function openEstimator(now: () => number, onTruth?: (truth: unknown) => void) {
  const onError = (error: unknown): void => {
    throw error;
  };
  const options = { redis: books.redis, names: keyNames(books.prefix), onError, now };
  return createOutputEstimator(onTruth ? { ...options, onTruth } : options);
}

test('a length lies in a bucket whose upper edge is at most a tenth above it', () => {
  for (let tokens = 1; tokens < 200_000; tokens += 1 + Math.floor(tokens / 50)) {
    const edge = upperEdgeOf(bucketOf(tokens));
    expect(edge).toBeGreaterThanOrEqual(tokens);
    expect(edge).toBeLessThanOrEqual(tokens * 1.1 + 1);
  }
});

test('until enough answers are known the estimate is the most that was asked for', async () => {
  const estimator = openEstimator(() => 0);
  for (let answers = 0; answers < 19; answers += 1) await estimator.record('few', 10);
  expect(await estimator.estimate('few', 4_000)).toBe(4_000);
});

test('the estimate is what 95 of 100 answers stay below, for every process, and never above the maximum', async () => {
  const truths: unknown[] = [];
  const one = openEstimator(
    () => 0,
    (truth) => truths.push(truth),
  );
  for (let answer = 1; answer <= 100; answer += 1)
    await one.record('kind', answer * 10, answer === 100 ? 950 : undefined);
  const other = openEstimator(() => 0);
  const estimate = await other.estimate('kind', 4_000);
  expect(estimate).toBeGreaterThanOrEqual(950);
  expect(estimate).toBeLessThanOrEqual(1_050);
  expect(await other.estimate('kind', 300)).toBe(300);
  expect(truths).toEqual([{ kind: 'kind', estimated: 950, produced: 1_000 }]);
});

test('old answers fade as new ones come, and an estimate is at most five seconds old', async () => {
  let now = 0;
  const estimator = openEstimator(() => now);
  for (let answer = 0; answer < 300; answer += 1) await estimator.record('changing', 5_000);
  expect(await estimator.estimate('changing', 8_000)).toBeGreaterThanOrEqual(5_000);
  for (let answer = 0; answer < 1_500; answer += 1) await estimator.record('changing', 100);
  expect(await estimator.estimate('changing', 8_000)).toBeGreaterThanOrEqual(5_000);
  now = 5_000;
  expect(await estimator.estimate('changing', 8_000)).toBeLessThan(111);
});

test('a kind of which little is known is forgotten after days, one that is known after weeks', async () => {
  const estimator = openEstimator(() => 0);
  const leftDays = async (kind: string) =>
    (await books.redis.pttl(keyNames(books.prefix).outputLengths(kind))) / 86_400_000;
  await estimator.record('made up', 10);
  expect(await leftDays('made up')).toBeLessThanOrEqual(2);
  for (let answers = 0; answers < 20; answers += 1) await estimator.record('usual', 10);
  expect(await leftDays('usual')).toBeGreaterThan(13);
});
