import { runInForeground } from './run-in-foreground.ts';

/** `npm start`. */
runInForeground().then(
  (exitCode) => {
    process.exitCode = exitCode;
    // Nothing should be left; if something is, ending is still what was asked for.
    setTimeout(() => process.exit(exitCode), 2_000).unref();
  },
  (error: unknown) => {
    // For the person at the terminal: the message says what to do, a stack trace would only hide it.
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`Millrace did not start: ${reason}\n`);
    process.exit(1);
  },
);
