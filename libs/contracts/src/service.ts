/**
 * Something that runs. `stop` may be called twice and before `start`; it takes no more work, waits for what is under way
 * and resolves when nothing of it runs any more.
 */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}
