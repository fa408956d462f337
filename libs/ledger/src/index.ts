export { LedgerUnavailable, openDatabase, isTransient } from './database.ts';
export type { Queryable, Database, DatabaseOptions } from './database.ts';
export { gather } from './gather.ts';
export { acceptJobs } from './jobs/accept-jobs.ts';
export type { NewJob, AcceptResult } from './jobs/accept-jobs.ts';
export { advanceJob, advanceJobs } from './jobs/advance-job.ts';
export type { AdvanceDecision, AdvanceResult } from './jobs/advance-job.ts';
export type { StoredEvent } from './jobs/append-events.ts';
export { cancelJob } from './jobs/cancel-job.ts';
export { countOpenCalls } from './jobs/count-open-calls.ts';
export { eraseJob } from './jobs/erase-job.ts';
export { failJob } from './jobs/fail-job.ts';
export { findAccepted } from './jobs/find-accepted.ts';
export { findEvents } from './jobs/find-events.ts';
export { findJob } from './jobs/find-job.ts';
export type { JobRecord } from './jobs/job-row.ts';
export type { NewStep, Placement } from './jobs/insert-steps.ts';
export { listJobs } from './jobs/list-jobs.ts';
export type { JobFilter } from './jobs/list-jobs.ts';
export type { JobState, RecordedStep } from './jobs/lock-jobs.ts';
export { resolveHeldSteps } from './jobs/resolve-held.ts';
export type { Resolution } from './jobs/resolve-held.ts';
export { toJobObject } from './jobs/to-job-object.ts';
export type { JobForecast } from './jobs/to-job-object.ts';
export { migrate } from './migrate.ts';
export { extendClaims } from './recovery/extend-claims.ts';
export { findAged } from './recovery/find-aged.ts';
export type { AgedStep, AgeingLimits } from './recovery/find-aged.ts';
export { findOverdue } from './recovery/find-overdue.ts';
export type { Overdue } from './recovery/find-overdue.ts';
export { holdLease, releaseLease } from './recovery/hold-lease.ts';
export { measureLedger } from './recovery/measure-ledger.ts';
export type { LedgerReadings } from './recovery/measure-ledger.ts';
export { measureOverdue } from './recovery/measure-overdue.ts';
export { postponeOverdue } from './recovery/postpone-overdue.ts';
export { pruneJobs } from './recovery/prune.ts';
export { raiseAged } from './recovery/raise-aged.ts';
export { wakeEverything } from './recovery/wake-everything.ts';
export { changeRoutes } from './routing/change-routes.ts';
export type { RouteChange } from './routing/change-routes.ts';
export { findRouteOverrides } from './routing/find-route-overrides.ts';
export { listRouteChanges } from './routing/list-route-changes.ts';
export type { RouteChangeRecord } from './routing/list-route-changes.ts';
export { claimSteps } from './steps/claim-steps.ts';
export type { StepReference, RepairState, ClaimedStep } from './steps/claim-steps.ts';
export { findEarlierAnswer } from './steps/find-earlier-answer.ts';
export { listSteps } from './steps/list-steps.ts';
export type { AttemptRecord, StepRecord } from './steps/list-steps.ts';
export { markSent } from './steps/mark-sent.ts';
export type { Departure, DepartureResult } from './steps/mark-sent.ts';
export { recordOutcomes } from './steps/record-outcomes.ts';
export type { AttemptEnd, NextState, StepOutcome, RecordResult } from './steps/step-outcome.ts';
export { renewClaims } from './steps/renew-claims.ts';
export { createApiKey, verifyApiKey, listApiKeys, revokeApiKey } from './tenants/api-keys.ts';
export type { ApiKeyRecord } from './tenants/api-keys.ts';
export {
  newWebhookSecret,
  ensureTenant,
  findTenant,
  updateTenant,
  countOpenJobs,
} from './tenants/tenants.ts';
export type { TenantRecord } from './tenants/tenants.ts';
export { findAbandonedFiles, forgetFiles } from './client-batches/abandoned-files.ts';
export { addClientLines } from './client-batches/add-lines.ts';
export { clientBatchStatuses } from './client-batches/batch-row.ts';
export type {
  ClientBatch,
  ClientBatchProblem,
  ClientBatchStatus,
  ClientBatchUsage,
} from './client-batches/batch-row.ts';
export { beginClientFinalizing } from './client-batches/begin-finalizing.ts';
export { cancelClientBatch } from './client-batches/cancel-batch.ts';
export { cancelOpenClientJobs } from './client-batches/cancel-open-jobs.ts';
export { closeClientLines } from './client-batches/close-lines.ts';
export { countTenantJobs } from './client-batches/count-tenant-jobs.ts';
export { createClientBatch, findClientBatchByKey } from './client-batches/create-batch.ts';
export { deleteFile } from './client-batches/delete-file.ts';
export { failClientBatch } from './client-batches/fail-batch.ts';
export type { ClientFile } from './client-batches/file-row.ts';
export { findClientBatch } from './client-batches/find-batch.ts';
export { findFile } from './client-batches/find-file.ts';
export { findOpenClientBatches } from './client-batches/find-open-batches.ts';
export type { OpenClientBatch } from './client-batches/find-open-batches.ts';
export { findOpenClientLines } from './client-batches/find-open-lines.ts';
export { finishClientBatch } from './client-batches/finish-batch.ts';
export { giveUpClientInput } from './client-batches/give-up-input.ts';
export { countKeptBytes } from './client-batches/kept-bytes.ts';
export { listClientBatches } from './client-batches/list-batches.ts';
export { listFiles } from './client-batches/list-files.ts';
export { noteClientExpansion } from './client-batches/note-expansion.ts';
export { pruneClientBatches } from './client-batches/prune-batches.ts';
export { readClientResults } from './client-batches/read-results.ts';
export type { ClientLineResult } from './client-batches/read-results.ts';
export { startClientBatch } from './client-batches/start-batch.ts';
export { beginFile, giveUpFile, storeFile } from './client-batches/store-file.ts';
export { claimDelivery } from './webhooks/claim-delivery.ts';
export type { ClaimedDelivery } from './webhooks/claim-delivery.ts';
export { createEndpoint, MOST_ENDPOINTS } from './webhooks/create-endpoint.ts';
export { deleteEndpoint } from './webhooks/delete-endpoint.ts';
export type { EndpointRecord } from './webhooks/endpoint-row.ts';
export { findEndpoint } from './webhooks/find-endpoint.ts';
export { listDeliveries, findDelivery } from './webhooks/list-deliveries.ts';
export type {
  DeliveryStatus,
  TryRecord,
  DeliveryRecord,
  DeliveryFilter,
} from './webhooks/list-deliveries.ts';
export { listEndpoints } from './webhooks/list-endpoints.ts';
export { patchEndpoint } from './webhooks/patch-endpoint.ts';
export type { EndpointPatch } from './webhooks/patch-endpoint.ts';
export { recordTry } from './webhooks/record-try.ts';
export type { TryVerdict, DeliveryTry, RecordedTry } from './webhooks/record-try.ts';
export { redeliver } from './webhooks/redeliver.ts';
export type { Redelivery } from './webhooks/redeliver.ts';
export { rotateSecret } from './webhooks/rotate-secret.ts';
export type { Ending, FinishedJob } from './jobs/finish-job.ts';
export { findLastSequence } from './jobs/find-last-sequence.ts';
export { findWebhookSecret } from './tenants/find-webhook-secret.ts';
export { closeLostAttempts } from './recovery/close-lost-attempts.ts';
export { createKnownDurations } from './batches/known-durations.ts';
export type { KnownDurations } from './batches/known-durations.ts';
export type { BatchOutcome, BatchRecord, BatchStatus } from './batches/batch-row.ts';
export { bindLines } from './batches/bind-lines.ts';
export type { BoundLines, NewLine } from './batches/bind-lines.ts';
export { claimBatches, renewBatchClaim } from './batches/claim-batches.ts';
export { countOpenLines } from './batches/count-open-lines.ts';
export { endBatch } from './batches/end-batch.ts';
export type { BatchSums } from './batches/end-batch.ts';
export { escapeBatch, escapeLateSteps } from './batches/escape-steps.ts';
export type { EscapedSteps } from './batches/escape-steps.ts';
export { findCandidates } from './batches/find-candidates.ts';
export type { Candidate } from './batches/find-candidates.ts';
export { findCollected } from './batches/find-collected.ts';
export type { CollectedGroup } from './batches/find-collected.ts';
export { findKnownBatches } from './batches/find-known-batches.ts';
export { findLines } from './batches/find-lines.ts';
export type { BatchLine } from './batches/find-lines.ts';
export { findUnwantedLines, isBatchWanted } from './batches/is-batch-wanted.ts';
export { hastenBatch } from './batches/hasten-batch.ts';
export { leaveLane, leaveLaneByShape } from './batches/leave-lane.ts';
export { findOpenLines, loadLines } from './batches/load-lines.ts';
export type { OpenLine } from './batches/load-lines.ts';
export { measureBatches } from './batches/measure-batches.ts';
export type { BatchReadings } from './batches/measure-batches.ts';
export { noteAnswered } from './batches/note-answered.ts';
export { noteBatch } from './batches/note-batch.ts';
export type { BatchNews } from './batches/note-batch.ts';
export { openBatch } from './batches/open-batch.ts';
export type { NewBatch } from './batches/open-batch.ts';
export { pruneBatches } from './batches/prune-batches.ts';
export { releaseLines } from './batches/release-lines.ts';
export type { Release, ReleasedLines } from './batches/release-lines.ts';
export type { StepWakeOfBatch } from './batches/step-wake-of-batch.ts';
export { settlePilots, tryShape } from './batches/try-shape.ts';
export { measureBacklog } from './recovery/measure-backlog.ts';
export type { BacklogReading } from './recovery/measure-backlog.ts';
export { findOpenCalls } from './steps/find-open-calls.ts';
export type { OpenCallsRecord } from './steps/find-open-calls.ts';
