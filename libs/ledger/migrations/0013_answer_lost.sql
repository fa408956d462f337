-- Up Migration
-- The default is constant, so no row is written: the lock is held for an instant.
-- True while the answer to a call got lost and nobody has decided yet what becomes of the step: it outlives the claim that found out.
ALTER TABLE steps ADD COLUMN answer_lost boolean NOT NULL DEFAULT false;
