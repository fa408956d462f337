-- Up Migration
-- What a job does when its deadline cannot be met: refused at the intake, or run as well as it goes.
ALTER TABLE jobs ADD COLUMN on_late text NOT NULL DEFAULT 'best_effort' CHECK (on_late IN ('refuse', 'best_effort'));

-- False where a tenant's data must not lie in a provider's batch files.
ALTER TABLE tenants ADD COLUMN batch_allowed boolean NOT NULL DEFAULT true;

ALTER TABLE steps
  ADD COLUMN lane_reason text,
  -- Fingerprint of all that a provider could refuse about the request; null outside of the batch lane.
  ADD COLUMN shape text,
  -- When the step leaves the batch lane, answered or not; null: only with its batch.
  ADD COLUMN escape_at timestamptz,
  ADD COLUMN escaped_at timestamptz,
  -- The batch that holds the step, or that answered it.
  ADD COLUMN batch_id text COLLATE "C",
  -- How often the step was in a batch.
  ADD COLUMN batch_tries integer NOT NULL DEFAULT 0;
CREATE INDEX steps_collected ON steps (target, shape, created_at) WHERE status = 'collected';
CREATE INDEX steps_escape ON steps (escape_at) WHERE status IN ('collected', 'sent') AND escape_at IS NOT NULL;
CREATE INDEX steps_escaped ON steps (target, escaped_at) WHERE escaped_at IS NOT NULL;

-- The lines of a provider batch are the attempts that carry its id.
ALTER TABLE attempts
  ADD COLUMN batch_id text COLLATE "C",
  ADD COLUMN batch_line integer,
  -- True when the step left for realtime while the line was under way: its answer is paid and not used.
  ADD COLUMN escaped boolean NOT NULL DEFAULT false,
  -- What a line has booked on its job; it outlives the step's own booking when the step escapes.
  ADD COLUMN reserved_micro_usd bigint NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX attempts_batch ON attempts (batch_id, batch_line) WHERE batch_id IS NOT NULL;

-- What the same tokens would have cost in realtime, for calls that went another way.
ALTER TABLE usage ADD COLUMN realtime_micro_usd bigint;

CREATE TABLE provider_batches (
  id text COLLATE "C" PRIMARY KEY,
  provider text NOT NULL,
  model text NOT NULL,
  target text NOT NULL,
  -- gathering: steps are being bound; submitting: intent on record, nobody knows whether the vendor has it; running: the
  -- vendor has it; reading: it is over there, its lines are being recorded; ended: nothing is left to do.
  status text NOT NULL DEFAULT 'gathering'
    CHECK (status IN ('gathering', 'submitting', 'running', 'reading', 'ended')),
  outcome text CHECK (outcome IN ('completed', 'failed', 'expired', 'cancelled', 'refused', 'abandoned')),
  -- The vendor's own words.
  phase text,
  provider_batch_id text COLLATE "C",
  -- False while the batch was only recognised by its size and time.
  certain boolean NOT NULL DEFAULT true,
  handles json NOT NULL DEFAULT '{}',
  line_count integer NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  estimated_tokens bigint NOT NULL DEFAULT 0,
  -- Grows with each claim, as with steps: who carries an old one may not write.
  fence integer NOT NULL DEFAULT 0,
  owner text,
  -- By when somebody must have looked at this batch; null when it has ended.
  wake_at timestamptz DEFAULT now(),
  -- Failures in a row of whatever it is about to do.
  tries integer NOT NULL DEFAULT 0,
  polls integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  submitted_at timestamptz,
  expires_at timestamptz,
  ended_at timestamptz,
  finished_at timestamptz,
  cancel_requested_at timestamptz,
  counts_total integer,
  counts_completed integer,
  counts_failed integer,
  failure_code text,
  failure_message text,
  vendor_input_tokens bigint,
  vendor_output_tokens bigint,
  -- Sums over the lines, written when it ends.
  answered integer NOT NULL DEFAULT 0,
  errored integer NOT NULL DEFAULT 0,
  unbilled integer NOT NULL DEFAULT 0,
  paid_twice integer NOT NULL DEFAULT 0,
  paid_twice_micro_usd bigint NOT NULL DEFAULT 0,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  cost_micro_usd bigint NOT NULL DEFAULT 0,
  realtime_micro_usd bigint NOT NULL DEFAULT 0,
  CONSTRAINT provider_batches_ended CHECK ((status = 'ended') = (wake_at IS NULL))
);
CREATE UNIQUE INDEX provider_batches_vendor ON provider_batches (provider, provider_batch_id);
CREATE INDEX provider_batches_wake ON provider_batches (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX provider_batches_durations ON provider_batches (target, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX provider_batches_finished ON provider_batches (finished_at) WHERE finished_at IS NOT NULL;

-- A request of a new shape is tried once before thousands of its kind are submitted: vendors check batches late.
CREATE TABLE batch_shapes (
  target text NOT NULL,
  shape text NOT NULL,
  status text NOT NULL CHECK (status IN ('untried', 'trying', 'proven', 'refused')),
  pilot_job_id text COLLATE "C",
  pilot_key text COLLATE "C",
  pilots integer NOT NULL DEFAULT 1,
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (target, shape)
);
