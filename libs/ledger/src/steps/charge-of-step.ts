/** Who pays for a step's place in a queue, as a {@link Charge}; SQL for a place where `s` is a step. */
export const CHARGE = `(
  SELECT json_build_object('tenantId', j.tenant_id, 'tier', t.tier, 'tokens', s.estimated_tokens, 'aged', s.priority <> j.priority)
  FROM jobs j JOIN tenants t ON t.id = j.tenant_id WHERE j.id = s.job_id)`;
