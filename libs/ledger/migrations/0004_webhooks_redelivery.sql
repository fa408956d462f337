-- Up Migration
-- A redelivery starts the schedule again: the tries before it stay in the log and do not count.
ALTER TABLE webhook_deliveries ADD COLUMN tries_before integer NOT NULL DEFAULT 0;
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (endpoint_id) WHERE status = 'pending';
