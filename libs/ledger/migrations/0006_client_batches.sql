-- Up Migration
-- What clients of the OpenAI-compatible routes upload and get back. The contents are in the blob store, under the id.
CREATE TABLE client_files (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  -- uploading: the content may be there, in part or whole; stored: it is whole; deleted: nobody sees it any more.
  status text NOT NULL CHECK (status IN ('uploading', 'stored', 'deleted')),
  purpose text,
  file_name text,
  bytes bigint,
  created_at timestamptz NOT NULL DEFAULT now(),
  -- From then on the blob may be removed, and the row after it; null: never.
  expires_at timestamptz
);
CREATE INDEX client_files_tenant ON client_files (tenant_id, id) WHERE status = 'stored';
CREATE INDEX client_files_expiry ON client_files (expires_at) WHERE expires_at IS NOT NULL;

-- validating -> failed | in_progress; in_progress -> finalizing -> completed | expired; any of the first three and
-- finalizing -> cancelling -> cancelled.
CREATE TABLE client_batches (
  id text COLLATE "C" PRIMARY KEY,
  tenant_id text COLLATE "C" NOT NULL,
  api_key_id text COLLATE "C" NOT NULL,
  request_id text NOT NULL,
  endpoint text NOT NULL,
  input_file_id text COLLATE "C" NOT NULL,
  completion_window text NOT NULL,
  metadata json,
  output_expires_after_seconds integer,
  status text NOT NULL DEFAULT 'validating' CHECK (status IN
    ('validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
  model text,
  -- [{code, line, message, param}] of a failed validation
  errors json,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  in_progress_at timestamptz,
  finalizing_at timestamptz,
  completed_at timestamptz,
  failed_at timestamptz,
  expired_at timestamptz,
  cancelling_at timestamptz,
  cancelled_at timestamptz,
  ended_at timestamptz,
  -- Lines of the input; how many of them have become jobs, and where the next one begins.
  total integer NOT NULL DEFAULT 0,
  expanded_lines integer NOT NULL DEFAULT 0,
  expanded_bytes bigint NOT NULL DEFAULT 0,
  -- Written at the end; before it, the lines are counted.
  completed integer NOT NULL DEFAULT 0,
  failed integer NOT NULL DEFAULT 0,
  usage json,
  -- Chosen before the results are written, so that whoever writes them again writes over them.
  output_file_id text COLLATE "C",
  error_file_id text COLLATE "C"
);
CREATE INDEX client_batches_tenant ON client_batches (tenant_id, id);
CREATE INDEX client_batches_open ON client_batches (id) WHERE ended_at IS NULL;
CREATE INDEX client_batches_input ON client_batches (input_file_id) WHERE ended_at IS NULL;
CREATE INDEX client_batches_ended ON client_batches (ended_at) WHERE ended_at IS NOT NULL;

-- The lines of batches that have not ended. A row is there before its job: it says which id the job will have.
CREATE TABLE client_batch_lines (
  batch_id text COLLATE "C" NOT NULL REFERENCES client_batches (id) ON DELETE CASCADE,
  line integer NOT NULL,
  custom_id text NOT NULL,
  job_id text COLLATE "C" NOT NULL,
  -- How the job ended; null while it is open.
  status text,
  PRIMARY KEY (batch_id, line)
);
CREATE UNIQUE INDEX client_batch_lines_job ON client_batch_lines (job_id);
CREATE INDEX client_batch_lines_open ON client_batch_lines (batch_id, line) WHERE status IS NULL;

-- A line ends in the transaction that ends its job. Jobs of batches are known by their idempotency keys, "<batch>/<line>".
CREATE FUNCTION end_client_batch_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE client_batch_lines SET status = NEW.status WHERE job_id = NEW.id;
  RETURN NULL;
END $$;
CREATE TRIGGER jobs_end_client_batch_line AFTER UPDATE OF status ON jobs
  FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND starts_with(NEW.idempotency_key, 'batch_'))
  EXECUTE FUNCTION end_client_batch_line();

-- A webhook tells of a job or of a batch.
ALTER TABLE webhook_deliveries ALTER COLUMN job_id DROP NOT NULL;
ALTER TABLE webhook_deliveries ADD COLUMN client_batch_id text COLLATE "C" REFERENCES client_batches (id) ON DELETE CASCADE;
ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_subject CHECK (num_nonnulls(job_id, client_batch_id) = 1);
CREATE INDEX webhook_deliveries_client_batch ON webhook_deliveries (client_batch_id) WHERE client_batch_id IS NOT NULL;
