-- Up Migration
-- Both defaults are constant, so no row is written: the lock is held for an instant. Jobs that were placed in the batch lane
-- before are not marked; finding them would have to write to a table that is in use.
ALTER TABLE jobs
  -- True once a step of the job was placed in the batch lane, whoever chose it.
  ADD COLUMN placed_in_batch boolean NOT NULL DEFAULT false,
  -- Steps that were known to be answered, at the highest: done, or answered in a provider batch that is not read yet.
  ADD COLUMN steps_answered integer NOT NULL DEFAULT 0;
