/** What the provider saw, by its own journal and counters. */
export interface Witness {
  /** Requests and tokens let in, per limit and the span looked at; only of limits that are set. */
  used: { requests: number; tokens: number };
  /** The fullest sliding minute of the whole run, as a share of the limit. */
  fullest: { requests: number | null; tokens: number | null };
  refused: number;
  /** By `x-client-request-id`: the instant of arrival. */
  arrivals: Map<string, number>;
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
  return {
    used,
    fullest: {
      requests: share(account?.fullestMinute.requests, account?.limits.requests),
      tokens: share(account?.fullestMinute.tokens, account?.limits.tokens),
    },
    refused: account?.refused429 ?? 0,
    arrivals,
  };
}

async function ask<Answer>(url: string): Promise<Answer> {
  const response = await fetch(url);
  return (await response.json()) as Answer;
}
