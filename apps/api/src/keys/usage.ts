/** What `npm run keys -- --help` prints. */
export const usage = `Manages API keys and tenants. Keys are shown once, when they are made.

  npm run keys -- create --tenant acme --scopes jobs[,admin,board] [--name "nightly digest"]
  npm run keys -- list [--tenant acme]
  npm run keys -- revoke KEYID
  npm run keys -- tenants --tenant acme --show-webhook-secret
  npm run keys -- tenants --tenant acme [--tier TIER] [--ambiguous retry|hold] [--max-open-jobs N]
                           [--requests-per-minute N] [--batch allow|forbid]

Scopes: jobs (the job and webhook routes), admin (operations), board (the dashboard).
A revoked key stops working within two seconds. --ambiguous says what happens to a call that was sent
and whose answer was lost: retry sends it again, hold asks by POST /v1/jobs/{id}/resolve. --tier gives the
tenant the weight of that tier among those who share a provider's limits (tiers: in millrace.config.yaml). --batch
forbid keeps the tenant's new calls out of the batch files that providers store.
The database is DATABASE_URL, or that of a running local stack (MILLRACE_DATA_DIR, by default .millrace).
`;
