import { createHash, randomBytes } from 'node:crypto';
import { createBatchRunner, type BatchRunner } from './batches/batch-runner.ts';
import { createScratchFolder, type ScratchFolder } from './batches/scratch-folder.ts';
import { createBill, type Bill } from './billing/bill.ts';
import { createFaultRules, type FaultRules } from './faults/fault-rules.ts';
import { createJournal, type Journal } from './journal.ts';
import { createAccountLimits, type AccountLimits } from './limits/account-limits.ts';
import { createModelCatalogue, type ModelCatalogue } from './model-catalogue.ts';
import { createPrefixCache, type PrefixCache } from './answer/prefix-cache.ts';
import { createRandomSource } from './random-source.ts';
import { createSimulatorClock, type SimulatorClock } from './simulator-clock.ts';
import { patchConfig, type SimulatorConfig } from './simulator-config.ts';
import { createTokenCounter, type TokenCounter } from './token-counter.ts';

/** Everything that one simulator holds; passed down to whatever answers a request. */
export interface Simulator {
  readonly config: () => SimulatorConfig;
  readonly models: () => ModelCatalogue;
  readonly clock: SimulatorClock;
  readonly journal: Journal;
  readonly counter: TokenCounter;
  readonly limits: AccountLimits;
  readonly bill: Bill;
  /** The batches of both vendors. */
  readonly batches: BatchRunner;
  /** Where files and what batches read and write lies. */
  readonly scratch: ScratchFolder;
  readonly faults: FaultRules;
  readonly prefixes: PrefixCache;
  readonly random: () => number;
  /** Lays a patch over the configuration; TypeError on an unknown setting. */
  readonly configure: (patch: unknown) => void;
  readonly nextId: (prefix: string) => string;
}

export function createSimulator(initial: SimulatorConfig, journalPath: string | null): Simulator {
  let config = initial;
  let models = createModelCatalogue(config.models);
  const clock = createSimulatorClock();
  const random = createRandomSource(config.seed);
  const faults = createFaultRules(random, clock.monotonicMs);
  for (const rule of config.faults) faults.add(rule);
  // Ids differ between runs by this and within a run by a count.
  const run = randomBytes(8).toString('hex');
  let issued = 0;
  return {
    config: () => config,
    models: () => models,
    clock,
    journal: createJournal(journalPath, () => config.journalInMemory, clock.realMs),
    counter: createTokenCounter(),
    limits: createAccountLimits(() => config),
    bill: createBill(),
    batches: createBatchRunner(() => config.batches.tickMs),
    scratch: createScratchFolder(),
    faults,
    prefixes: createPrefixCache(clock.monotonicMs),
    random,
    configure(patch) {
      config = patchConfig(config, patch);
      models = createModelCatalogue(config.models);
    },
    nextId: (prefix) => {
      issued += 1;
      return `${prefix}${run}${issued.toString(16).padStart(8, '0')}`;
    },
  };
}

/** The account that an API key stands for: part of its hash, so that no journal ever holds a key. */
export function accountOf(key: string): string {
  return `acct_${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
}
