-- Up Migration
-- The default is constant, so no row is written: the lock is held for an instant.
ALTER TABLE batch_shapes
  -- Pilots, of all that were sent, that the provider refused as wrong. The others that have ended have told nothing.
  ADD COLUMN IF NOT EXISTS refusals integer NOT NULL DEFAULT 0;
