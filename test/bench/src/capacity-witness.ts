/** What the provider saw, by its own journal and counters. */
export interface Witness {
  /** Requests and tokens let in, per limit and the span looked at; only of limits that are set. */
  used: { requests: number; tokens: number };
  /** The fullest sliding window of the whole run, as a share of the limit: of what was let in, which is never above 1 … */
  letIn: LimitShares;
  /** … and of all that arrived, refused calls too. */
  offered: LimitShares;
  refused: number;
  /** By `x-client-request-id`: the instant of arrival. */
  arrivals: Map<string, number>;
}

/** Null: unlimited. */
interface LimitShares {
  requests: number | null;
  tokens: number | null;
}

interface JournalledCall {
  at: string;
  stepId: string | null;
  end: { status: number | null; chargedTokens: number } | null;
}
interface Usage {
  accounts: {
    refused429: number;
    limits: { requests: number | null; tokens: number | null };
    fullestMinute: { requests: number; tokens: number };
    fullestMinuteOffered: { requests: number; tokens: number };
  }[];
}

/** Asks the simulator what it let in between two instants. */
export async function askWitness(
  simulatorUrl: string,
  span: { from: number; to: number },
  counts: (call: { stepId: string | null }) => boolean = () => true,
): Promise<Witness> {
  const [{ calls }, { accounts }] = await Promise.all([
    ask<{ calls: JournalledCall[] }>(`${simulatorUrl}/_simulator/journal?joined=true`),
    ask<Usage>(`${simulatorUrl}/_simulator/usage`),
  ]);
  const used = { requests: 0, tokens: 0 };
  const arrivals = new Map<string, number>();
  for (const call of calls) {
    const at = Date.parse(call.at);
    if (call.stepId !== null) arrivals.set(call.stepId, at);
    if (call.end === null || call.end.status !== 200 || at < span.from || at >= span.to || !counts(call))
      continue;
    used.requests += 1;
    used.tokens += call.end.chargedTokens;
  }
  const [account] = accounts;
  const share = (amount: number | undefined, limit: number | null | undefined): number | null =>
    amount === undefined || limit == null ? null : amount / limit;
  const shares = (amounts: { requests: number; tokens: number } | undefined): LimitShares => ({
    requests: share(amounts?.requests, account?.limits.requests),
    tokens: share(amounts?.tokens, account?.limits.tokens),
  });
  return {
    used,
    letIn: shares(account?.fullestMinute),
    offered: shares(account?.fullestMinuteOffered),
    refused: account?.refused429 ?? 0,
    arrivals,
  };
}

async function ask<Answer>(url: string): Promise<Answer> {
  const response = await fetch(url);
  return (await response.json()) as Answer;
}

/** The fuller one of two limits; 0 without any. */
export function fuller({ requests, tokens }: LimitShares): number {
  return Math.max(requests ?? 0, tokens ?? 0);
}

/** A share as people read it. */
export function percent(share: number | null): string {
  return share === null ? 'unlimited' : `${(share * 100).toFixed(2)} %`;
}
