/**
 * Something that runs. `stop` may be called twice and before `start`; it takes no more work, waits for what is under way
 * and resolves when nothing of it runs any more. What would cut short work that is dear has `drain` as well: it takes no more
 * work and waits for what is under way, however long that takes; `stop` comes after it, or meanwhile when there is a hurry.
 */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  drain?(): Promise<void>;
  stop(): Promise<void>;
}
