import { join, resolve } from 'node:path';
import { readLines, spawnGuarded } from '@millrace/infra';

/** The provider simulator as a process of its own, which no campaign kills: it is a witness. */
export interface ProviderProcess {
  readonly url: string;
  stop(): Promise<void>;
}

const entry = resolve(import.meta.dirname, '../../../simulator/src/main.ts');

export async function startProvider(
  directory: string,
  configuration: Record<string, unknown>,
): Promise<ProviderProcess & { journal: string }> {
  const journal = join(directory, 'provider.jsonl');
  const child = await spawnGuarded({
    command: process.execPath,
    arguments: [entry],
    environment: {
      PATH: process.env.PATH,
      SIMULATOR_JOURNAL: journal,
      SIMULATOR_CONFIG: JSON.stringify(configuration),
    },
    orphanSignal: 'KILL',
    orphanGraceMs: 0,
  });
  const said: string[] = [];
  const url = await new Promise<string>((found, failed) => {
    const take = (line: string): void => {
      said.push(line);
      const listening = /"listening":"([^"]+)"/.exec(line)?.[1];
      if (listening !== undefined) found(listening);
    };
    readLines(child.stdout, take);
    readLines(child.stderr, take);
    void child.exited.then(() => failed(new Error(`the simulator ended: ${said.join('\n')}`)));
  });
  return {
    url,
    journal,
    stop: async () => {
      await child.stop({ signal: 'SIGTERM', graceMs: 3_000 });
    },
  };
}
