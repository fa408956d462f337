-- Up Migration
-- What was changed about routes at run time; everything else is as the configuration says.
CREATE TABLE route_overrides (
  -- '' is the target on every route, and for calls that name it as their model.
  route text COLLATE "C" NOT NULL,
  target text COLLATE "C" NOT NULL,
  -- null: as configured
  weight float8 CHECK (weight >= 0),
  enabled boolean,
  PRIMARY KEY (route, target)
);

-- Who changed what, when, from what to what. Rows are only ever added.
CREATE TABLE route_changes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  api_key_id text COLLATE "C" NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  route text COLLATE "C" NOT NULL,
  target text COLLATE "C" NOT NULL,
  -- {weight, enabled} as they were and are in force
  before json NOT NULL,
  after json NOT NULL
);

-- Set when an answer did not come as the route wants it: 'cheapest' (the last resort's) or 'stale' (an earlier one).
ALTER TABLE steps ADD COLUMN degraded text CHECK (degraded IN ('cheapest', 'stale'));
-- True once an answer of such a step is in the job.
ALTER TABLE jobs ADD COLUMN degraded boolean NOT NULL DEFAULT false;
-- Mean log probability of the answer's tokens; null when it was not asked for or not told.
ALTER TABLE steps ADD COLUMN mean_logprob float8;
-- What an identical request of the same tenant has in common; only on routes that may give stale answers.
ALTER TABLE steps ADD COLUMN request_hash text COLLATE "C";
CREATE INDEX steps_request_hash ON steps (request_hash, finished_at) WHERE request_hash IS NOT NULL;
