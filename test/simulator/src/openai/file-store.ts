import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { Simulator } from '../simulator.ts';

export interface StoredFile {
  readonly id: string;
  readonly account: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly fileName: string;
  readonly purpose: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  /** Until then it is not to be had, although it is named. */
  readonly missingUntilMs: number | null;
}

/** A file that is being written. */
export interface FileDraft {
  readonly id: string;
  readonly path: string;
  write(bytes: Buffer | string): void;
  /** Makes it a file that can be fetched. */
  publish(
    fields: Pick<StoredFile, 'account' | 'fileName' | 'purpose' | 'expiresAtMs' | 'missingUntilMs'>,
  ): StoredFile;
  discard(): void;
}

/** Files of all accounts, in the scratch folder. */
export interface FileStore {
  draft(): FileDraft;
  find(account: string, id: string): StoredFile | null;
  /** Oldest first. */
  list(account: string): readonly StoredFile[];
  remove(file: StoredFile): void;
}

export function createFileStore(simulator: Simulator): FileStore {
  const files = new Map<string, StoredFile>();

  function live(file: StoredFile): boolean {
    const nowMs = simulator.clock.nowMs();
    if (file.missingUntilMs !== null && nowMs < file.missingUntilMs) return false;
    return file.expiresAtMs === null || nowMs < file.expiresAtMs;
  }

  return {
    draft() {
      const id = simulator.nextId('file-');
      const written = simulator.scratch.write(id);
      const hash = createHash('sha256');
      return {
        id,
        path: written.path,
        write(bytes) {
          hash.update(bytes);
          written.write(bytes);
        },
        publish(fields) {
          const file = {
            id,
            path: written.path,
            bytes: written.close(),
            sha256: hash.digest('hex'),
            createdAtMs: simulator.clock.nowMs(),
            ...fields,
          };
          files.set(id, file);
          return file;
        },
        discard() {
          written.close();
          rmSync(written.path, { force: true });
        },
      };
    },
    find(account, id) {
      const file = files.get(id);
      return file !== undefined && file.account === account && live(file) ? file : null;
    },
    list: (account) => [...files.values()].filter((file) => file.account === account && live(file)),
    remove(file) {
      files.delete(file.id);
      rmSync(file.path, { force: true });
    },
  };
}
