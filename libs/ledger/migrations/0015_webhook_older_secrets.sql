-- Up Migration
-- Both defaults are constant, so no row is written: the lock is held for an instant.
ALTER TABLE webhook_endpoints
  -- What was replaced before previous_secret was, the oldest first: each signs too until it expires.
  ADD COLUMN IF NOT EXISTS older_secrets text[] NOT NULL DEFAULT '{}',
  ADD COLUMN IF NOT EXISTS older_secrets_expire_at timestamptz[] NOT NULL DEFAULT '{}';
