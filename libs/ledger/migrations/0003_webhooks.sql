-- Up Migration
CREATE TABLE webhook_endpoints (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  url text NOT NULL,
  events text[] NOT NULL,
  description text NOT NULL DEFAULT '',
  enabled boolean NOT NULL DEFAULT true,
  disabled_reason text,
  secret text NOT NULL,
  -- Signs too until it expires, so that receivers can change over.
  previous_secret text,
  previous_secret_expires_at timestamptz,
  -- Deliveries that were given up on since the last success, and since when tries have failed.
  consecutive_failures integer NOT NULL DEFAULT 0,
  failing_since timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  deleted_at timestamptz
);
CREATE INDEX webhook_endpoints_tenant ON webhook_endpoints (tenant_id, id) WHERE deleted_at IS NULL;

CREATE TABLE webhook_deliveries (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  job_id text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  -- The webhook-id: the same on every try, so that receivers can drop doubles.
  event_id text COLLATE "C" NOT NULL,
  event_type text NOT NULL,
  -- null: the job named the URL itself
  endpoint_id text COLLATE "C",
  url text NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'exhausted', 'cancelled')),
  tries integer NOT NULL DEFAULT 0,
  fence integer NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  wake_at timestamptz DEFAULT now() + interval '10 seconds',
  wake_count integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
CREATE INDEX webhook_deliveries_job ON webhook_deliveries (job_id, id);
CREATE INDEX webhook_deliveries_tenant ON webhook_deliveries (tenant_id, id);
CREATE INDEX webhook_deliveries_wake ON webhook_deliveries (wake_at) WHERE wake_at IS NOT NULL;

CREATE TABLE webhook_tries (
  delivery_id text COLLATE "C" NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
  number integer NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  duration_ms integer NOT NULL,
  http_status integer,
  error text,
  PRIMARY KEY (delivery_id, number)
);
