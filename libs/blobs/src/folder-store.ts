import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BlobStoreUnavailable, checkBlobKey } from './blob-store.ts';
import type { BlobStore } from './blob-store.ts';

/** How much is read at a time, and so what one reader holds in memory. */
const PIECE_BYTES = 256 * 1024;

/**
 * A folder of this machine, or one that all processes have mounted. A content is written beside its place and then
 * renamed, so that a reader finds the whole or nothing, also after a crash.
 */
export function createFolderStore(folder: string): BlobStore {
  /** The last two characters of a key are random, so the files spread over about a thousand folders. */
  const pathOf = (key: string): string => {
    checkBlobKey(key);
    return join(folder, key.slice(-2), key);
  };

  return {
    async write(key, content) {
      const path = pathOf(key);
      const unfinished = `${path}.${randomUUID()}`;
      await mkdir(dirname(path), { recursive: true }).catch(translate);
      const file = await open(unfinished, 'wx', 0o600).catch(translate);
      try {
        const bytes = await fill(file, content);
        await file.sync().catch(translate);
        await file.close();
        await rename(unfinished, path).catch(translate);
        await syncFolder(dirname(path));
        return { bytes };
      } catch (error) {
        await file.close().catch(() => undefined);
        await rm(unfinished, { force: true }).catch(() => undefined);
        throw error;
      }
    },

    async read(key, fromByte = 0) {
      const file = await open(pathOf(key), 'r').catch(nullIfMissing);
      if (!file) {
        await refuseIfUnmounted(folder);
        return null;
      }
      const { size } = await file.stat().catch(translate);
      const stream = createReadStream('', { fd: file, start: fromByte, highWaterMark: PIECE_BYTES });
      return { bytes: size, stream };
    },

    async remove(key) {
      const path = pathOf(key);
      const names = await readdir(dirname(path)).catch(nullIfMissing);
      const own = (names ?? []).filter((name) => name === key || name.startsWith(`${key}.`));
      for (const name of own) await rm(join(dirname(path), name), { force: true }).catch(translate);
    },
  };
}

async function fill(file: FileHandle, content: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const piece of content) {
    for (let written = 0; written < piece.length;) {
      written += (await file.write(piece, written).catch(translate)).bytesWritten;
    }
    bytes += piece.length;
  }
  return bytes;
}

/**
 * A folder that is not there, or that has nothing in it, is one that is not mounted: what was written once leaves its own folder
 * behind, also when it is removed. Throws BlobStoreUnavailable.
 */
async function refuseIfUnmounted(folder: string): Promise<void> {
  const names = await readdir(folder).catch(translate);
  if (names.length === 0) throw new BlobStoreUnavailable('the folder is empty; it may not be mounted');
}

/** A rename is on the disk when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(translate);
  try {
    await handle.sync().catch(translate);
  } finally {
    await handle.close();
  }
}

function nullIfMissing(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
  return translate(error);
}

function translate(error: unknown): never {
  throw new BlobStoreUnavailable(error instanceof Error ? error.message : String(error), error);
}
