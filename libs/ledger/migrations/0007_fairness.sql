-- Up Migration
ALTER TABLE steps
  -- What the call is expected to take of its pool: input and output. Roughly, for the order between tenants.
  ADD COLUMN estimated_tokens integer NOT NULL DEFAULT 1000,
  -- Since when the step is in its class of priority: who waits for long is raised.
  ADD COLUMN class_since timestamptz NOT NULL DEFAULT now();
CREATE INDEX steps_ageing ON steps (priority, class_since) WHERE status = 'pending' AND priority <> 'realtime';
