import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import { identifyProcess, isSameProcessRunning, type ProcessIdentity } from './process-identity.ts';

/** Another living process has the directory. The message names the process and what to do. */
export class DirectoryInUseError extends Error {
  override name = 'DirectoryInUseError';
}

/**
 * Makes this process the owner of a directory (creating it) until `release` is called or the process is gone; what
 * a dead owner left is taken over. Throws DirectoryInUseError while another owner lives, this process included.
 */
export function ownDirectory(directory: string, purpose: string): { release(): void } {
  mkdirSync(directory, { recursive: true });
  const ownerFile = join(directory, 'owner.json');
  const self = identifyProcess(process.pid);
  if (self === null) throw new Error('this process cannot be identified');

  const candidate = `${ownerFile}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(candidate, JSON.stringify(self), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      if (linkIfAbsent(candidate, ownerFile)) {
        return { release: () => releaseIfOwned(ownerFile, self) };
      }
      const owner = readOwner(ownerFile);
      if (owner !== null && isSameProcessRunning(owner)) {
        throw new DirectoryInUseError(
          `${directory} is in use: process ${owner.pid} runs ${purpose} on it. Stop that process first, or choose another directory.`,
        );
      }
      setAside(ownerFile, owner);
    }
    throw new DirectoryInUseError(`${directory} is being taken by several processes at once; try again.`);
  } finally {
    rmSync(candidate, { force: true });
  }
}

/** A hard link is made whole or not at all, so that nobody ever reads half an owner file. */
function linkIfAbsent(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a dead owner's file away; puts it back if it turns out that somebody else had just taken over. */
function setAside(ownerFile: string, seen: ProcessIdentity | null): void {
  const aside = `${ownerFile}.${process.pid}.stale`;
  try {
    renameSync(ownerFile, aside);
  } catch {
    return;
  }
  const moved = readOwner(aside);
  const isWhatWasSeen = moved?.pid === seen?.pid && moved?.startedAt === seen?.startedAt;
  if (!isWhatWasSeen) linkIfAbsent(aside, ownerFile);
  rmSync(aside, { force: true });
}

function releaseIfOwned(ownerFile: string, self: ProcessIdentity): void {
  const owner = readOwner(ownerFile);
  if (owner?.pid === self.pid && owner.startedAt === self.startedAt) rmSync(ownerFile, { force: true });
}

function readOwner(ownerFile: string): ProcessIdentity | null {
  try {
    const content = JSON.parse(readFileSync(ownerFile, 'utf8')) as Partial<ProcessIdentity>;
    if (typeof content.pid !== 'number' || typeof content.startedAt !== 'string') return null;
    return { pid: content.pid, startedAt: content.startedAt };
  } catch {
    return null;
  }
}
