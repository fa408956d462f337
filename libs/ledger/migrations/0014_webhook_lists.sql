-- Up Migration
-- No transaction: the indexes are built while deliveries are written. One that was interrupted is left behind as invalid, hence the
-- first line of each.
--
-- Without them a list of what was not delivered, or of an endpoint that is seldom called, reads all deliveries that are kept. What
-- they cost: as a rule a delivery gets a new entry three times (made, claimed, ended) in every index that has it, and twice more with
-- each further try. This one has it until it is delivered, so that is two entries; those that stay are of the few that failed.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_undelivered;
CREATE INDEX CONCURRENTLY webhook_deliveries_undelivered ON webhook_deliveries (tenant_id, status, id) WHERE status <> 'delivered';
-- Three entries, each behind the others of its endpoint, so that they meet in few pages; none where a job names the URL itself.
-- More than ten entries in other indexes are written for a delivery anyway, and a request goes over the network.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_endpoint;
CREATE INDEX CONCURRENTLY webhook_deliveries_endpoint ON webhook_deliveries (endpoint_id, id) WHERE endpoint_id IS NOT NULL;
