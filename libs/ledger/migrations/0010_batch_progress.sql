-- Up Migration
ALTER TABLE jobs
  -- True once a step of the job was placed in the batch lane, whoever chose it.
  ADD COLUMN placed_in_batch boolean NOT NULL DEFAULT false,
  -- Steps that were known to be answered, at the highest: done, or answered in a provider batch that is not read yet.
  ADD COLUMN steps_answered integer NOT NULL DEFAULT 0;
UPDATE jobs SET placed_in_batch = true
WHERE id IN (SELECT job_id FROM steps WHERE status = 'collected' UNION SELECT job_id FROM attempts WHERE batch_id IS NOT NULL);
-- Most jobs have no entry here.
CREATE INDEX jobs_batch_lane ON jobs (tenant_id, id) WHERE lane = 'batch' OR placed_in_batch;
