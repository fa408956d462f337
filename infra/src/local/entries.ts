import { join, resolve } from 'node:path';

/** Where the apps run and their entry files are looked up. */
export const repositoryRoot = resolve(import.meta.dirname, '../../..');

/** The entry files of the processes of a stack; a test may put others in their place. */
export interface Entries {
  api: string;
  worker: string;
  scheduler: string;
  simulator: string;
}

/** The entry files of this repository. */
export const entriesOfRepository: Entries = {
  api: join(repositoryRoot, 'apps/api/src/main.ts'),
  worker: join(repositoryRoot, 'apps/worker/src/main.ts'),
  scheduler: join(repositoryRoot, 'apps/scheduler/src/main.ts'),
  simulator: join(repositoryRoot, 'test/simulator/src/main.ts'),
};
