import { execFile } from 'node:child_process';

/** Runs a program to its end and answers what it printed; rejects with its output if it fails. */
export async function runProgram(
  command: string,
  programArguments: readonly string[],
  request: { environment: NodeJS.ProcessEnv; workingDirectory?: string; timeoutMs: number },
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      programArguments,
      {
        env: request.environment,
        timeout: request.timeoutMs,
        maxBuffer: 16 * 1024 * 1024,
        ...(request.workingDirectory === undefined ? {} : { cwd: request.workingDirectory }),
      },
      (error, stdout, stderr) => {
        if (error === null) {
          resolve(stdout);
          return;
        }
        reject(
          new Error(`${command} ${programArguments[0] ?? ''} failed: ${error.message}\n${stderr}`, {
            cause: error,
          }),
        );
      },
    );
  });
}
