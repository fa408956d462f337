import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../simulator.ts';

export interface StoredFile {
  readonly id: string;
  readonly account: string;
  readonly path: string;
  readonly bytes: number;
  readonly fileName: string;
  readonly purpose: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

/** A file that is being written. */
export interface FileDraft {
  readonly id: string;
  readonly path: string;
  write(bytes: Buffer | string): void;
  /** Makes it a file that can be fetched. */
  publish(fields: Pick<StoredFile, 'account' | 'fileName' | 'purpose' | 'expiresAtMs'>): StoredFile;
  discard(): void;
}

/** Files of all accounts, in a directory of this process that goes when the simulator stops. */
export interface FileStore {
  draft(): FileDraft;
  find(account: string, id: string): StoredFile | null;
  /** Oldest first. */
  list(account: string): readonly StoredFile[];
  remove(file: StoredFile): void;
  stop(): void;
}

export function createFileStore(simulator: Simulator): FileStore {
  const files = new Map<string, StoredFile>();
  let folder: string | null = null;

  function live(file: StoredFile): boolean {
    return file.expiresAtMs === null || simulator.clock.nowMs() < file.expiresAtMs;
  }

  return {
    draft() {
      folder ??= mkdtempSync(join(tmpdir(), 'simulator-files-'));
      const id = simulator.nextId('file-');
      const path = join(folder, id);
      const handle = openSync(path, 'w');
      return {
        id,
        path,
        write: (bytes) => {
          if (typeof bytes === 'string') writeSync(handle, bytes);
          else writeSync(handle, bytes);
        },
        publish(fields) {
          closeSync(handle);
          const file = {
            id,
            path,
            bytes: statSync(path).size,
            createdAtMs: simulator.clock.nowMs(),
            ...fields,
          };
          files.set(id, file);
          return file;
        },
        discard() {
          closeSync(handle);
          rmSync(path, { force: true });
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
    stop() {
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    },
  };
}
