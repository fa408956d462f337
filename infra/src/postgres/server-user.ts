import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** As whom PostgreSQL runs. PostgreSQL refuses to run as root, so under root it is another user. */
export interface ServerUser {
  /** Undefined: the user who runs this process. */
  userId?: number;
  groupId?: number;
  /** A command to put in front of the server's, or nothing. */
  prefix: readonly string[];
}

/**
 * The user for PostgreSQL, given the paths that the server must reach. Under root that is `postgres` or else
 * `nobody`. A checkout under /root, say, is closed to them; then `setpriv` lets the server pass (and nothing else is
 * changed on the disk). Throws with the remedies if that is impossible.
 */
export function chooseServerUser(paths: readonly string[]): ServerUser {
  if (process.getuid?.() !== 0) return { prefix: [] };
  const ids = idsOf('postgres') ?? idsOf('nobody');
  if (ids === null) {
    throw new Error(
      'PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody. ' +
        'Run as another user, or set DATABASE_URL.',
    );
  }
  const closed = paths.map((path) => closedParent(resolve(path), ids)).find((parent) => parent !== null);
  if (closed === undefined) return { ...ids, prefix: [] };
  if (!existsSync('/usr/bin/setpriv')) {
    throw new Error(
      `PostgreSQL runs as user ${ids.userId} because this process is root, and that user cannot pass ${closed}. ` +
        'Put the checkout and MILLRACE_DATA_DIR where other users may pass, run as another user, or set DATABASE_URL.',
    );
  }
  return {
    prefix: [
      '/usr/bin/setpriv',
      `--reuid=${ids.userId}`,
      `--regid=${ids.groupId}`,
      '--clear-groups',
      '--inh-caps=+dac_override',
      '--ambient-caps=+dac_override',
      '--',
    ],
  };
}

function idsOf(name: string): { userId: number; groupId: number } | null {
  const read = (option: string): number =>
    Number.parseInt(
      execFileSync('id', [option, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
      10,
    );
  try {
    return { userId: read('-u'), groupId: read('-g') };
  } catch {
    return null;
  }
}

/** The first directory above `path` that the user may not pass, or null. */
function closedParent(path: string, ids: { userId: number; groupId: number }): string | null {
  const parent = dirname(path);
  if (parent === path) return null;
  const above = closedParent(parent, ids);
  if (above !== null || !existsSync(parent)) return above;
  const { mode, uid, gid } = statSync(parent);
  const execute = uid === ids.userId ? 0o100 : gid === ids.groupId ? 0o010 : 0o001;
  return (mode & execute) === 0 ? parent : null;
}
