export { startSimulator } from './start-simulator.ts';
export type { RunningSimulator, SimulatorOptions } from './start-simulator.ts';
export type { ConfigPatch, SimulatorConfig } from './simulator-config.ts';
export { joinJournal, readJournal } from './journal.ts';
export type { AcceptedEntry, EndedEntry, JournalEntry, JournalledCall } from './journal.ts';
export type { AccountUsage } from './limits/account-limits.ts';
export type { BillLine } from './billing/bill.ts';
export { accountOf } from './simulator.ts';
