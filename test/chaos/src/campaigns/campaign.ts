import type { Violation } from '../observer/evidence.ts';

/** What a campaign is asked for. */
export interface CampaignRequest {
  /** How many seeds; each gives other passings, victims and moments. */
  seeds: number;
  /** The first seed. */
  seed: number;
  /** Only runs that have this text in their names. */
  only: string | null;
  progress: (line: string) => void;
  /** False when the time is over: what is under way is ended, and nothing new begins. */
  mayGoOn: () => boolean;
}

/** Whether a run was asked for: `--only` takes any part of a name as it is printed, also that of a second try. */
export function isSelected({ only }: Pick<CampaignRequest, 'only'>, run: string): boolean {
  return only === null || run.includes(only.replace(/-try\d+$/, ''));
}

/** One run, as the summary needs it. */
export interface RunResult {
  run: string;
  seed: number;
  /** What the run is counted under in the table. */
  row: string;
  faults: number;
  landed: number;
  violations: readonly Violation[];
  /** From the end of a fault to the first progress, by whom it hit. */
  recoveries: readonly { target: string; ms: number }[];
}

/** What a campaign found. */
export interface CampaignResult {
  campaign: string;
  runs: readonly RunResult[];
  tookMs: number;
}

/** A campaign by its name on the command line. */
export interface Campaign {
  name: string;
  describes: string;
  /** How many seeds the whole programme gives it. */
  seeds: number;
  run: (request: CampaignRequest) => Promise<CampaignResult>;
}
