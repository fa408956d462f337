import { z } from 'zod';
import {
  duration,
  flag,
  httpUrl,
  list,
  postgresUrl,
  redisUrl,
  text,
  whole,
  workerRange,
} from './setting-schemas.ts';

/** One environment variable: what it means, how it is read, what it is when it is not set. */
export interface Setting {
  schema: z.ZodType<unknown, string>;
  /** As one would write it in the environment; null when there is none. */
  default: string | null;
  /** Who reads it. `stack` is the local stack of `npm start`. */
  readBy: readonly ('api' | 'worker' | 'scheduler' | 'stack')[];
  secret?: true;
  description: string;
}

const apps = ['api', 'worker', 'scheduler'] as const;
const setting = <Schema extends z.ZodType<unknown, string>, const Default extends string | null>(
  schema: Schema,
  fallback: Default,
  readBy: Setting['readBy'],
  description: string,
) => ({ schema, default: fallback, readBy, description });

/** Every environment variable that Millrace reads. docs/configuration.md lists exactly these; a test compares them. */
export const settings = {
  DATABASE_URL: setting(
    postgresUrl,
    null,
    [...apps, 'stack'],
    'PostgreSQL (15 or later). Required, except by the local stack, which then embeds one.',
  ),
  REDIS_URL: setting(
    redisUrl,
    null,
    [...apps, 'stack'],
    'Redis (6.2 or later) or Valkey, with `maxmemory-policy noeviction`. Required, except by the local stack.',
  ),
  MILLRACE_CONFIG: setting(
    text,
    null,
    apps,
    'Path of `millrace.config.yaml`; without it, that file in the working directory if it exists.',
  ),
  MILLRACE_KEY_PREFIX: setting(
    z.string().regex(/^[a-z0-9-]{1,40}$/, 'a-z 0-9 -'),
    'mr',
    apps,
    'Prefix of every key and channel in Redis.',
  ),
  MILLRACE_LOG_LEVEL: setting(
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    'info',
    apps,
    'Least level that is logged.',
  ),
  MILLRACE_SHUTDOWN_GRACE: setting(
    duration,
    '25s',
    [...apps, 'stack'],
    'How long a process finishes its work after SIGTERM before it hands it back.',
  ),
  MILLRACE_DATABASE_CONNECTIONS: setting(
    whole(2, 500),
    '10',
    apps,
    'Most connections of one process to PostgreSQL.',
  ),
  MILLRACE_HOST: setting(
    text,
    '127.0.0.1',
    [...apps, 'stack'],
    'Address to listen on; `0.0.0.0` in containers.',
  ),
  MILLRACE_PORT: setting(whole(0, 65_535), '8080', ['api', 'stack'], 'Port of the API; 0 takes a free one.'),
  MILLRACE_OPERATIONS_PORT: setting(
    whole(0, 65_535),
    null,
    ['worker', 'scheduler'],
    'Port of `/livez`, `/readyz` and `/metrics` of this process; without it they are not served.',
  ),
  MILLRACE_BOOTSTRAP_KEY: setting(
    z.string().regex(/^mr_[a-z0-9]{12}_[A-Za-z0-9]{32,64}$/, 'mr_<12 of a-z0-9>_<32 to 64 of A-Za-z0-9>'),
    null,
    ['api', 'stack'],
    'An API key with all scopes that the API registers at its start for the tenant `default`.',
  ),
  MILLRACE_REQUIRE_IDEMPOTENCY_KEY: setting(
    flag,
    'true',
    ['api'],
    'Whether `POST /v1/jobs` needs an `Idempotency-Key`.',
  ),
  MILLRACE_BOARD_READ_ONLY: setting(flag, 'true', ['api'], 'Whether Bull Board refuses to change queues.'),
  MILLRACE_MAX_OPEN_JOBS: setting(
    whole(1, 100_000_000),
    '1000000',
    ['api'],
    'Jobs that may be open in all; more are answered 429 `queue_full`.',
  ),
  MILLRACE_TENANT_MAX_OPEN_JOBS: setting(
    whole(1, 100_000_000),
    '200000',
    ['api', 'scheduler'],
    'Jobs that one tenant may have open, unless its own limit says otherwise.',
  ),
  MILLRACE_TENANT_REQUESTS_PER_MINUTE: setting(
    whole(1, 10_000_000),
    '600000',
    ['api'],
    'Requests of one tenant per minute, unless its own limit says otherwise.',
  ),
  MILLRACE_ALLOW_PRIVATE_WEBHOOKS: setting(
    list,
    '',
    ['api', 'worker', 'stack'],
    'Hosts (`name` or `name:port`, comma separated) that webhooks may reach although they are private or plain http.',
  ),
  MILLRACE_WORKER_CONCURRENCY: setting(
    whole(1, 10_000),
    '64',
    ['api', 'worker', 'scheduler'],
    'Calls that one worker process runs at a time, per pool; the wanted number of workers follows from it.',
  ),
  MILLRACE_LEASE: setting(
    duration,
    '12s',
    ['worker', 'scheduler'],
    'How long a worker may be silent before others take over its steps.',
  ),
  MILLRACE_CALL_TIMEOUT: setting(
    duration,
    '10m',
    ['worker', 'scheduler', 'stack'],
    'Longest time of one provider call.',
  ),
  MILLRACE_RECONCILE_INTERVAL: setting(
    duration,
    '1s',
    ['scheduler'],
    'How often the leader looks for overdue work.',
  ),
  MILLRACE_LEADER_LEASE: setting(
    duration,
    '6s',
    ['scheduler'],
    'After how long without a sign of life another scheduler leads.',
  ),
  MILLRACE_BATCH_COLLECT_AGE: setting(
    duration,
    '60s',
    ['worker', 'scheduler'],
    'How long a step of the batch lane waits for others before its batch is submitted.',
  ),
  MILLRACE_BATCH_MAX_LINES: setting(
    whole(1, 100_000),
    '50000',
    ['scheduler'],
    'Most lines of one provider batch; the provider’s own limit holds as well.',
  ),
  MILLRACE_BATCH_PILOT_FROM: setting(
    whole(1, 1_000_000),
    '20',
    ['scheduler'],
    'From how many lines on a request of a new shape is tried once in realtime before they are submitted.',
  ),
  MILLRACE_BATCH_POLL_INTERVAL: setting(
    duration,
    '60s',
    ['scheduler'],
    'Longest time between two looks at a provider batch; the first ones come sooner.',
  ),
  MILLRACE_BATCH_LIST_LAG: setting(
    duration,
    '2m',
    ['scheduler'],
    'How long a provider’s list of batches may lag behind: before that a submission that broke off is not made again.',
  ),
  MILLRACE_BATCH_ESCAPE_MARGIN: setting(
    duration,
    '15m',
    ['api', 'worker'],
    'Least time before its deadline at which a step leaves the batch lane for realtime; experience lengthens it.',
  ),
  MILLRACE_JOB_RETENTION: setting(
    duration,
    '30d',
    ['scheduler'],
    'How long ended jobs are kept; 24h at least, for their idempotency keys.',
  ),
  MILLRACE_TENANT_MAX_FILE_BYTES: setting(
    whole(1, 1_000_000_000_000_000),
    '100000000000',
    ['api'],
    'Bytes that the files of one tenant may have together, what its batches gave back among them.',
  ),
  MILLRACE_BLOB_STORE: setting(
    z.string().regex(/^(file:.+|s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](\/[A-Za-z0-9!_.*'()/-]*)?)$/, {
      error: 'file:<path> or s3://bucket/prefix',
    }),
    'file:.millrace/blobs',
    ['api', 'scheduler'],
    'Where uploaded files and the results of batches are kept: `file:<path>` or `s3://bucket/prefix`; the same for all processes.',
  ),
  MILLRACE_BLOB_S3_ENDPOINT: setting(
    httpUrl,
    null,
    ['api', 'scheduler'],
    'Address of the S3-compatible store of an `s3://` blob store; Amazon’s own of the region by default.',
  ),
  MILLRACE_BLOB_S3_REGION: setting(
    text,
    'us-east-1',
    ['api', 'scheduler'],
    'Region of an `s3://` blob store.',
  ),
  MILLRACE_BLOB_S3_ACCESS_KEY_ID: setting(
    text,
    null,
    ['api', 'scheduler'],
    'Who asks an `s3://` blob store. Required with one.',
  ),
  MILLRACE_BLOB_S3_SECRET_ACCESS_KEY: setting(
    text,
    null,
    ['api', 'scheduler'],
    'The secret of that key. Required with one.',
  ),
  OPENAI_API_KEY: setting(text, null, ['worker', 'scheduler', 'stack'], 'Configures the provider `openai`.'),
  OPENAI_BASE_URL: setting(
    httpUrl,
    null,
    ['worker', 'scheduler', 'stack'],
    'Another address for the provider `openai`.',
  ),
  OPENAI_WEBHOOK_SECRET: setting(
    text,
    null,
    ['api'],
    'The secret (`whsec_…`) of a webhook endpoint at OpenAI that sends to `/provider_webhooks/openai`.',
  ),
  ANTHROPIC_API_KEY: setting(
    text,
    null,
    ['worker', 'scheduler', 'stack'],
    'Configures the provider `anthropic`.',
  ),
  ANTHROPIC_BASE_URL: setting(
    httpUrl,
    null,
    ['worker', 'scheduler', 'stack'],
    'Another address for the provider `anthropic`.',
  ),
  MILLRACE_DATA_DIR: setting(
    text,
    '.millrace',
    ['stack'],
    'Where the local stack keeps PostgreSQL, Redis and the bootstrap key.',
  ),
  MILLRACE_WORKERS: setting(
    workerRange,
    '1',
    ['stack'],
    'Worker processes of the local stack: a number, or a range such as `1..4` within which it follows the work.',
  ),
  MILLRACE_LOG_FORMAT: setting(
    z.enum(['pretty', 'json']),
    'pretty',
    ['stack'],
    'How the local stack prints the logs of its processes.',
  ),
  MILLRACE_CACHE_DIR: setting(
    text,
    null,
    ['stack'],
    'Where a downloaded Redis is kept; the user’s cache folder by default.',
  ),
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

/** What a setting is after reading; null only where it has no default. */
export type SettingValue<Name extends SettingName> = (typeof settings)[Name]['default'] extends string
  ? z.output<(typeof settings)[Name]['schema']>
  : z.output<(typeof settings)[Name]['schema']> | null;
