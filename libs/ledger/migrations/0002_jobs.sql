-- Up Migration
-- Columns of type json (not jsonb) hold what is only ever read back whole: they keep "\u0000" and key order.
CREATE TABLE jobs (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  api_key_id text COLLATE "C" NOT NULL,
  idempotency_key text COLLATE "C",
  fingerprint bytea NOT NULL,
  type text NOT NULL,
  status text NOT NULL DEFAULT 'queued'
    CHECK (status IN ('queued', 'in_progress', 'requires_action', 'completed', 'failed', 'cancelled', 'expired')),
  priority text NOT NULL CHECK (priority IN ('realtime', 'standard', 'background')),
  lane text NOT NULL CHECK (lane IN ('auto', 'realtime', 'batch')),
  -- {plan, input, params}; null once the content is erased
  content json,
  metadata jsonb NOT NULL DEFAULT '{}',
  -- {url, events} or null
  webhook json,
  request_id text NOT NULL,
  traceparent text,
  deadline_at timestamptz,
  max_cost_micro_usd bigint,
  cost_micro_usd bigint NOT NULL DEFAULT 0,
  -- Worst case of the calls that are under way, and of those whose outcome is unknown.
  reserved_micro_usd bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  -- By when somebody must have looked at this job; null when nothing of its own makes it go on.
  wake_at timestamptz,
  wake_count integer NOT NULL DEFAULT 0,
  last_sequence integer NOT NULL DEFAULT 1,
  last_ordinal integer NOT NULL DEFAULT 0,
  steps_known integer NOT NULL DEFAULT 0,
  steps_done integer NOT NULL DEFAULT 0,
  steps_open integer NOT NULL DEFAULT 0,
  progress_at timestamptz,
  input_tokens bigint NOT NULL DEFAULT 0,
  cached_input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  reasoning_tokens bigint NOT NULL DEFAULT 0,
  calls integer NOT NULL DEFAULT 0,
  ambiguous_calls integer NOT NULL DEFAULT 0,
  output json,
  error json,
  erased_at timestamptz,
  CONSTRAINT jobs_terminal CHECK (
    (finished_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled', 'expired'))
  )
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX jobs_idempotency ON jobs (tenant_id, idempotency_key);
CREATE INDEX jobs_tenant ON jobs (tenant_id, id);
CREATE INDEX jobs_wake ON jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX jobs_open ON jobs (tenant_id, status) WHERE finished_at IS NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
-- A job's row changes five times in its life, and each time every index gets a new entry: those without metadata have none here.
CREATE INDEX jobs_metadata ON jobs USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}';

-- The terminal state is written once: neither it nor the result changes afterwards (erasing content is the exception).
CREATE FUNCTION refuse_terminal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.status IS DISTINCT FROM NEW.status OR OLD.finished_at IS DISTINCT FROM NEW.finished_at THEN
    RAISE EXCEPTION 'job % is %: its terminal state cannot change', OLD.id, OLD.status;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER jobs_terminal_is_final BEFORE UPDATE ON jobs
  FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION refuse_terminal_change();

CREATE TABLE steps (
  job_id text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  key text COLLATE "C" NOT NULL,
  status text NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'collected', 'claimed', 'sent', 'held', 'completed', 'failed', 'cancelled')),
  lane text NOT NULL DEFAULT 'realtime',
  -- The node that waits for this step and its siblings together; null when the step's end alone lets the plan go on.
  barrier text COLLATE "C",
  priority text NOT NULL,
  route text,
  target text NOT NULL,
  pool text NOT NULL,
  -- Targets that were given up on; they are not chosen again for this step.
  spent_targets text[] NOT NULL DEFAULT '{}',
  request json,
  -- Grows with each claim; an answer that carries an old one is refused.
  fence integer NOT NULL DEFAULT 0,
  owner text,
  -- Attempts that count against the policy on the present target, and over all targets.
  target_attempts integer NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  repairs integer NOT NULL DEFAULT 0,
  -- How often a worker died while it held the step.
  deaths integer NOT NULL DEFAULT 0,
  ambiguous boolean NOT NULL DEFAULT false,
  -- {answer, feedback, fingerprint} of the last answer that did not fit the schema
  repair json,
  reserved_micro_usd bigint NOT NULL DEFAULT 0,
  not_before timestamptz NOT NULL DEFAULT now(),
  wake_at timestamptz,
  wake_count integer NOT NULL DEFAULT 0,
  ordinal integer,
  output json,
  error json,
  input_tokens bigint NOT NULL DEFAULT 0,
  cached_input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  reasoning_tokens bigint NOT NULL DEFAULT 0,
  calls integer NOT NULL DEFAULT 0,
  ambiguous_calls integer NOT NULL DEFAULT 0,
  cost_micro_usd bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (job_id, key)
) WITH (fillfactor = 85);
CREATE INDEX steps_wake ON steps (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX steps_barrier ON steps (job_id, barrier)
  WHERE status IN ('pending', 'collected', 'claimed', 'sent', 'held');

CREATE TABLE attempts (
  job_id text COLLATE "C" NOT NULL,
  step_key text COLLATE "C" NOT NULL,
  number integer NOT NULL,
  fence integer NOT NULL,
  target text NOT NULL,
  purpose text NOT NULL CHECK (purpose IN ('answer', 'repair')),
  status text NOT NULL CHECK (status IN ('sent', 'completed', 'failed', 'ambiguous', 'interrupted', 'cancelled')),
  owner text NOT NULL,
  sent_at timestamptz NOT NULL DEFAULT now(),
  first_token_at timestamptz,
  finished_at timestamptz,
  provider_request_id text,
  http_status integer,
  error_code text,
  error_message text,
  PRIMARY KEY (job_id, step_key, number),
  FOREIGN KEY (job_id, step_key) REFERENCES steps (job_id, key) ON DELETE CASCADE
);

-- Few: the calls under way.
CREATE INDEX attempts_open ON attempts (sent_at) WHERE status = 'sent';

-- What was billed, one row per call that reported tokens. It outlives the job, so it names the tenant itself.
CREATE TABLE usage (
  job_id text COLLATE "C" NOT NULL,
  step_key text COLLATE "C" NOT NULL,
  attempt integer NOT NULL,
  tenant_id text COLLATE "C" NOT NULL,
  target text NOT NULL,
  service_tier text,
  input_tokens bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  cost_micro_usd bigint NOT NULL,
  -- False when the catalogue has no price for the model, or when the tokens were counted by us.
  price_known boolean NOT NULL,
  estimated boolean NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (job_id, step_key, attempt)
);
CREATE INDEX usage_tenant ON usage (tenant_id, at);

CREATE TABLE job_events (
  job_id text COLLATE "C" NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  sequence integer NOT NULL,
  type text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  data json NOT NULL,
  PRIMARY KEY (job_id, sequence)
);
