import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where fetched programs are kept: MILLRACE_CACHE_DIR, else `millrace` in the user's cache folder. */
export function cacheDirectory(environment: NodeJS.ProcessEnv): string {
  if (environment.MILLRACE_CACHE_DIR) return environment.MILLRACE_CACHE_DIR;
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'millrace');
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'millrace');
}
