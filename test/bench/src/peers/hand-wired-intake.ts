/** What a team writes in an afternoon: Express, zod, SET NX, BullMQ add; with `insert` also one row per request. */
import { Queue } from 'bullmq';
import express from 'express';
import { Redis } from 'ioredis';
import pg from 'pg';
import { z } from 'zod';

const insert = process.argv[2] === 'insert';
const redis = new Redis(process.env.REDIS_URL ?? '', { maxRetriesPerRequest: null });
const queue = new Queue('hand-wired', { connection: redis, prefix: '{peer}' });
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
if (insert)
  await pool.query(
    'CREATE TABLE IF NOT EXISTS peer_jobs (id text PRIMARY KEY, body json, created_at timestamptz DEFAULT now())',
  );

const schema = z.object({
  type: z.literal('call'),
  route: z.string(),
  prompt: z.string(),
  metadata: z.record(z.string(), z.string()),
});

const app = express();
app.use(express.json());
app.post('/v1/jobs', async (request, response) => {
  const body = schema.parse(request.body);
  const key = String(request.headers['idempotency-key']);
  const fresh = await redis.set(`peer:key:${key}`, '1', 'EX', 86_400, 'NX');
  if (fresh === null) {
    response.status(202).json({ id: key, status: 'queued' });
    return;
  }
  if (insert)
    await pool.query('INSERT INTO peer_jobs (id, body) VALUES ($1, $2)', [key, JSON.stringify(body)]);
  await queue.add('job', body, { jobId: key });
  response.status(202).json({ id: key, status: 'queued', type: body.type });
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(`http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`);
});
