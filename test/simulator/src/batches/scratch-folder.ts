import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file that grows; what was written is on disk, so that memory stays flat. */
export interface ScratchFile {
  readonly path: string;
  write(bytes: Buffer | string): void;
  /** Gives its size; may be called again. */
  close(): number;
}

/** A folder of this process under the system's temporary one. */
export interface ScratchFolder {
  write(name: string): ScratchFile;
  remove(): void;
}

const GATHER_BYTES = 256 * 1024;

export function createScratchFolder(): ScratchFolder {
  let folder: string | null = null;
  return {
    write(name) {
      folder ??= mkdtempSync(join(tmpdir(), 'simulator-'));
      return openScratchFile(join(folder, name));
    },
    remove() {
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
      folder = null;
    },
  };
}

/** Short lines are gathered, so that a line costs no system call of its own. */
function openScratchFile(path: string): ScratchFile {
  const handle = openSync(path, 'w');
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  let size = 0;
  let open = true;
  function flush(): void {
    for (const bytes of gathered) writeSync(handle, bytes);
    gathered = [];
    gatheredBytes = 0;
  }
  return {
    path,
    write(bytes) {
      const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      size += buffer.length;
      gatheredBytes += buffer.length;
      gathered.push(buffer);
      if (gatheredBytes >= GATHER_BYTES) {
        gathered = [Buffer.concat(gathered)];
        flush();
      }
    },
    close() {
      if (open) {
        gathered = [Buffer.concat(gathered)];
        flush();
        closeSync(handle);
      }
      open = false;
      return size;
    },
  };
}
