import type { ClaimedStep } from '@millrace/ledger';

/** Answers that resemble each other in length: one tenant's calls of one route and plan node under one limit. */
export function likenessOf(step: ClaimedStep, maxOutputTokens: number): string {
  const node = step.key.replaceAll(/\d+/g, '#');
  return `${step.tenantId}:${step.route ?? step.target}:${node}:${step.request.output?.name ?? ''}:${maxOutputTokens}`;
}
