-- Up Migration
-- Who may submit work. Webhook secrets are needed in clear to sign; API secrets are only ever stored as a hash.
CREATE TABLE tenants (
  id text COLLATE "C" PRIMARY KEY,
  tier text NOT NULL DEFAULT 'standard',
  -- What happens to a call that was sent and whose answer was lost: send it again, or ask the tenant.
  ambiguous_policy text NOT NULL DEFAULT 'retry' CHECK (ambiguous_policy IN ('retry', 'hold')),
  -- null: the deployment's default
  max_open_jobs integer,
  requests_per_minute integer,
  -- Signs webhooks to URLs that jobs name themselves.
  webhook_secret text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL DEFAULT '',
  secret_sha256 bytea NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
CREATE INDEX api_keys_tenant ON api_keys (tenant_id);

-- One holder at a time per name; a holder that stops renewing loses it when the time has passed.
CREATE TABLE leases (
  name text PRIMARY KEY,
  holder text NOT NULL,
  expires_at timestamptz NOT NULL
);
