import { z } from 'zod';
import { parseDurationMs } from '@millrace/contracts';

/** Any text but none. */
export const text = z.string().min(1);
/** Yes or no. */
export const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((value) => value === 'true' || value === '1');
/** A whole number between two others, these included. */
export const whole = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^\d+$/, 'a whole number')
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, `between ${minimum} and ${maximum}`);
/** A duration such as `15s`, read as ms. */
export const duration = z
  .string()
  .refine((value) => parseDurationMs(value) !== null, 'a duration such as "500ms", "15s", "2h", "30d"')
  .transform((value) => parseDurationMs(value) ?? 0);
/** Items with commas between them. */
export const list = z.string().transform((value) =>
  value
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== ''),
);
/** A number of worker processes, or a range as `1..4`. */
export const workerRange = z
  .string()
  .regex(/^\d+(\.\.\d+)?$/, 'a number, or two with ".." between them')
  .transform((value) => value.split('..').map(Number))
  .transform(([least = 1, most = least]) => ({ least, most }))
  .refine(({ least, most }) => least >= 1 && least <= most && most <= 64, 'from 1 to 64, the smaller first');
export const postgresUrl = z.string().regex(/^postgres(ql)?:\/\//, 'a postgres:// address');
export const redisUrl = z.string().regex(/^(rediss?|unix):\/\//, 'a redis:// address');
export const httpUrl = z.url({ protocol: /^https?$/, error: 'an http(s) address' });
