import { randomInt } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The first API key of a local stack, and whence it came. */
export interface BootstrapKey {
  key: string;
  source: 'MILLRACE_BOOTSTRAP_KEY' | 'kept' | 'created';
  /** Where the key is kept; null if it came from the environment. */
  file: string | null;
}

const keyPattern = /^mr_[a-z0-9]{12}_[A-Za-z0-9]{32,64}$/;
const digits = '0123456789';
const lowerCase = 'abcdefghijklmnopqrstuvwxyz';

/**
 * The key given in the environment, else the one kept in the data directory, else a new one that is kept from now
 * on (readable by its owner only). Throws if the given or the kept one is not of the form `mr_<key id>_<secret>`.
 */
export function resolveBootstrapKey(dataDirectory: string, environment: NodeJS.ProcessEnv): BootstrapKey {
  const given = environment.MILLRACE_BOOTSTRAP_KEY;
  if (given) {
    if (!keyPattern.test(given)) throw new Error(malformed('MILLRACE_BOOTSTRAP_KEY'));
    return { key: given, source: 'MILLRACE_BOOTSTRAP_KEY', file: null };
  }
  const file = join(dataDirectory, 'bootstrap-key');
  if (existsSync(file)) {
    const key = readFileSync(file, 'utf8').trim();
    if (!keyPattern.test(key)) throw new Error(malformed(`the content of ${file}`));
    return { key, source: 'kept', file };
  }
  const key = `mr_${randomText(12, lowerCase + digits)}_${randomText(40, lowerCase + lowerCase.toUpperCase() + digits)}`;
  writeFileSync(`${file}.unfinished`, `${key}\n`, { mode: 0o600 });
  renameSync(`${file}.unfinished`, file);
  return { key, source: 'created', file };
}

/** Never says the value: it is a secret, or meant to be one. */
function malformed(what: string): string {
  return `${what} is not an API key: expected mr_<key id: 12 of a-z 0-9>_<secret: 32 to 64 of A-Z a-z 0-9>`;
}

function randomText(length: number, alphabet: string): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
}
