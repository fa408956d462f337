-- Up Migration
-- No transaction: the index is built while jobs are written. One that was interrupted is left behind as invalid, hence the first line.
DROP INDEX CONCURRENTLY IF EXISTS jobs_batch_lane;
-- Most jobs have no entry here.
CREATE INDEX CONCURRENTLY jobs_batch_lane ON jobs (tenant_id, id) WHERE lane = 'batch' OR placed_in_batch;
