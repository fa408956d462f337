import type { ModelCard } from '../model-catalogue.ts';
import type { GroupLimits, SimulatorConfig } from '../simulator-config.ts';
import { createLimitGroup, type LimitGroup } from './limit-group.ts';

/** What a call asks of the limits. */
export interface LimitCost {
  /** OpenAI: the charge against tokens per minute. */
  readonly tokens: number;
  /** Anthropic: uncached input tokens. */
  readonly inputTokens: number;
}

export interface AccountLimits {
  /** The counters of an account for one model's group. */
  group(account: string, card: ModelCard): LimitGroup;
  /** The limits in force for it. */
  limitsOf(account: string, card: ModelCard): GroupLimits;
  /** Everything seen so far, for `GET /_simulator/usage`. */
  usage(): readonly AccountUsage[];
  clear(): void;
}

/** What the simulator saw of one account and limit group. */
export interface AccountUsage {
  readonly account: string;
  readonly group: string;
  readonly limits: GroupLimits;
  readonly calls: number;
  readonly refused429: number;
  /** The fullest sliding minute of what was let in … */
  readonly fullestMinute: {
    readonly requests: number;
    readonly tokens: number;
    readonly inputTokens: number;
    readonly outputTokens: number;
  };
  /** … and of everything that arrived, refused requests included. */
  readonly fullestMinuteOffered: { readonly requests: number; readonly tokens: number };
  readonly concurrency: number;
  readonly peakConcurrency: number;
  /** Calls that arrived before the `Retry-After` that this account and group was last told. */
  readonly retryAfterViolations: number;
  /** Of those, calls of the very step that was told to wait. */
  readonly retryAfterViolationsOfStep: number;
}

export function createAccountLimits(config: () => SimulatorConfig): AccountLimits {
  const groups = new Map<string, { account: string; card: ModelCard; group: LimitGroup }>();

  function limitsOf(account: string, card: ModelCard): GroupLimits {
    const { limits } = config();
    return { ...limits[card.vendor], ...limits.groups[card.limitGroup], ...limits.accounts[account] };
  }

  return {
    limitsOf,
    group(account, card) {
      const key = `${account}/${card.limitGroup}`;
      let known = groups.get(key);
      if (known === undefined) {
        known = { account, card, group: createLimitGroup(() => config().limits) };
        groups.set(key, known);
      }
      return known.group;
    },
    usage: () =>
      [...groups.values()].map(({ account, card, group }) => ({
        account,
        group: card.limitGroup,
        limits: limitsOf(account, card),
        ...group.usage(),
      })),
    clear() {
      groups.clear();
    },
  };
}
