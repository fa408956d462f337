import { fork } from 'node:child_process';
import { setPriority } from 'node:os';
import { resolve } from 'node:path';

/** Starts a simulated provider in a process of its own. */
export async function startSimulatorProcess(
  config: Record<string, unknown>,
): Promise<{ url: string; stop: () => void }> {
  const child = fork(resolve(import.meta.dirname, '../../simulator/src/main.ts'), {
    env: { ...process.env, SIMULATOR_CONFIG: JSON.stringify(config) },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  // A provider does not share our cores; without the right to give it more of them the machine must be quiet.
  try {
    setPriority(child.pid ?? 0, -10);
  } catch {
    console.log('the simulator runs at the priority of the rest');
  }
  const url = await new Promise<string>((resolveUrl, reject) => {
    child.stdout?.once('data', (line: Buffer) =>
      resolveUrl((JSON.parse(line.toString()) as { listening: string }).listening),
    );
    child.once('exit', (code) => reject(new Error(`the simulator ended with ${code}`)));
  });
  return {
    url,
    stop: () => {
      child.removeAllListeners('exit');
      child.kill('SIGTERM');
    },
  };
}
