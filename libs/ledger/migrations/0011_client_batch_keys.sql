-- Up Migration
-- A batch that is asked for again with the same key is the same batch, for as long as its row is kept.
ALTER TABLE client_batches ADD COLUMN idempotency_key text, ADD COLUMN fingerprint bytea;
CREATE UNIQUE INDEX client_batches_idempotency ON client_batches (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
