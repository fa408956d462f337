/**
 * Everything that `work` has printed. The SDKs bind the console's methods once per console, so the console itself becomes
 * another one, and the client must be made inside `work`.
 */
export async function printedBy(work: () => Promise<unknown>): Promise<unknown[]> {
  const printed: unknown[] = [];
  const print = (...words: unknown[]) => void printed.push(words);
  const before = globalThis.console;
  globalThis.console = { ...before, log: print, debug: print, info: print, warn: print, error: print };
  try {
    await work();
  } finally {
    globalThis.console = before;
  }
  return printed;
}
