import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { BlobStoreUnavailable } from './blob-store.ts';
import type { BlobStore } from './blob-store.ts';
import { createBlobStore } from './create-blob-store.ts';
import { createS3Store } from './s3-store.ts';
import { startScriptedS3 } from './testing/scripted-s3.ts';
import type { ScriptedS3 } from './testing/scripted-s3.ts';

const MIB = 1024 * 1024;
let folder: string;
let s3: ScriptedS3;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blobs-'));
  s3 = await startScriptedS3();
});
afterAll(async () => {
  await s3.stop();
  await rm(folder, { recursive: true });
});

const openFolder = (): BlobStore =>
  createBlobStore({
    address: `file:${folder}`,
    s3: { endpoint: null, region: '', accessKeyId: null, secretAccessKey: null },
  });
const openBucket = (): BlobStore =>
  createBlobStore({ address: 's3://bucket/some/prefix/', s3: { ...s3, endpoint: s3.url } });

async function* pieces(...contents: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* contents;
}
const read = async (store: BlobStore, key: string, fromByte?: number): Promise<Buffer | null> => {
  const content = await store.read(key, fromByte);
  return content === null ? null : buffer(content.stream);
};

describe.each([
  ['a folder', openFolder],
  ['an S3 bucket', openBucket],
])('%s', (_name, open) => {
  let store: BlobStore;
  beforeEach(() => {
    store = open();
  });

  it('gives back what was written, from any byte on, and tells its size', async () => {
    expect(await store.write('one', pieces(Buffer.from('first '), Buffer.from('second')))).toEqual({
      bytes: 12,
    });
    expect(String(await read(store, 'one'))).toBe('first second');
    expect(String(await read(store, 'one', 6))).toBe('second');
    expect(String(await read(store, 'one', 12))).toBe('');
    const content = await store.read('one', 6);
    expect(content?.bytes).toBe(12);
    content?.stream.destroy();
  });

  it('replaces, removes, and knows nothing of what is not there', async () => {
    await store.write('two', pieces(Buffer.from('old and long')));
    await store.write('two', pieces(Buffer.from('new')));
    expect(String(await read(store, 'two'))).toBe('new');
    await store.remove('two');
    expect(await store.read('two')).toBeNull();
    await store.remove('two');
  });

  it('keeps an empty content', async () => {
    await store.write('empty', pieces());
    expect(String(await read(store, 'empty'))).toBe('');
  });

  it('takes contents of several parts whole', async () => {
    const large = Buffer.alloc(20 * MIB + 3, 'abcdefg');
    const cut = Array.from({ length: 7 }, (_each, at) => large.subarray(at * 3 * MIB, (at + 1) * 3 * MIB));
    expect(await store.write('large', pieces(...cut))).toEqual({ bytes: large.length });
    expect((await read(store, 'large'))?.equals(large)).toBe(true);
  });

  it('leaves nothing of a write whose source fails, and keeps what was there', async () => {
    await store.write('three', pieces(Buffer.from('before')));
    async function* failing(): AsyncIterable<Uint8Array> {
      yield Buffer.alloc(17 * MIB);
      throw new Error('the upload was cut');
    }
    await expect(store.write('three', failing())).rejects.toThrow('the upload was cut');
    expect(String(await read(store, 'three'))).toBe('before');
    expect(s3.openUploads()).toBe(0);
    expect((await readdir(folder, { recursive: true })).filter((name) => /three\./.test(name))).toEqual([]);
  });

  it('refuses keys that are paths', async () => {
    await expect(store.write('../out', pieces())).rejects.toThrow('no blob key');
    await expect(store.read('a/b')).rejects.toThrow('no blob key');
  });
});

it('removing from a folder takes along what a killed writer left', async () => {
  const store = openFolder();
  await store.write('four', pieces(Buffer.from('x')));
  await writeFile(join(folder, 'ur', 'four.left-behind'), 'half');
  await store.remove('four');
  expect(await readdir(join(folder, 'ur'))).toEqual([]);
});

it('a full or missing disk is reported as the store being unavailable', async () => {
  await writeFile(join(folder, 'a-file'), '');
  const store = createBlobStore({
    address: `file:${folder}/a-file`,
    s3: { endpoint: null, region: '', accessKeyId: null, secretAccessKey: null },
  });
  await expect(store.write('five', pieces())).rejects.toThrow(BlobStoreUnavailable);
});

it('a folder that is missing or empty is one that is not mounted, not one without the content', async () => {
  const root = await mkdtemp(join(tmpdir(), 'blobs-'));
  const s3Settings = { endpoint: null, region: '', accessKeyId: null, secretAccessKey: null };
  const store = createBlobStore({ address: `file:${root}`, s3: s3Settings });
  await expect(store.read('twelve')).rejects.toThrow(BlobStoreUnavailable);
  await store.write('twelve', pieces(Buffer.from('x')));
  await store.remove('twelve');
  expect(await store.read('twelve')).toBeNull();
  await rm(root, { recursive: true });
  await expect(store.read('twelve')).rejects.toThrow(BlobStoreUnavailable);
});

describe('an S3 bucket that fails', () => {
  it.each([
    ['a bucket that is gone', 'no_bucket' as const, 'NoSuchBucket'],
    ['a proxy that knows no store', 404, '404'],
  ])('does not take %s for a content that is gone', async (_what, answer, told) => {
    const store = openBucket();
    for (const ask of [() => store.read('six'), () => store.remove('six')]) {
      s3.answerWith(answer);
      await expect(ask()).rejects.toThrow(told);
    }
    expect(await store.read('never-written')).toBeNull();
  });

  it('is asked again after 503', async () => {
    const store = openBucket();
    s3.answerWith(503, 503);
    await store.write('six', pieces(Buffer.from('x')));
    expect(String(s3.objects.get('/bucket/some/prefix/six'))).toBe('x');
  });

  it('throws what was refused, and takes a wrong key as refused', async () => {
    const store = openBucket();
    s3.answerWith(400);
    await expect(store.read('six')).rejects.toThrow(BlobStoreUnavailable);
    const stranger = createBlobStore({
      address: 's3://bucket',
      s3: { ...s3, endpoint: s3.url, secretAccessKey: 'wrong' },
    });
    await expect(stranger.read('six')).rejects.toThrow('answered 403');
  });

  it('notices a completion that fails with status 200, and gives the upload up', async () => {
    const store = openBucket();
    const before = s3.requests.length;
    // Begin, two parts, the completion.
    s3.answerWith('as_usual', 'as_usual', 'as_usual', 'late_error');
    await expect(store.write('seven', pieces(Buffer.alloc(9 * MIB)))).rejects.toThrow('not completed');
    expect(s3.openUploads()).toBe(0);
    expect(s3.requests.slice(before)).toHaveLength(5);
    expect(await store.read('seven')).toBeNull();
  });
});

describe('an S3 bucket that accepts and is silent', () => {
  // Long enough for a request to arrive on a busy machine.
  const openHasty = (): BlobStore =>
    createS3Store({ ...s3, endpoint: s3.url, bucket: 'bucket', prefix: '', requestMs: 1_000, idleMs: 1_000 });

  it('fails every request in time, whatever is asked', async () => {
    const store = openHasty();
    for (const ask of [
      () => store.read('eight'),
      () => store.remove('eight'),
      () => store.write('eight', pieces(Buffer.from('x'))),
    ]) {
      s3.answerWith('silence');
      await expect(ask()).rejects.toThrow(BlobStoreUnavailable);
    }
  });

  it('fails a content that stands still in the middle, and hangs up', async () => {
    const store = openHasty();
    await store.write('nine', pieces(Buffer.alloc(MIB)));
    s3.answerWith('stall');
    const before = await s3.connections();
    const content = await store.read('nine');
    await expect(buffer(content!.stream)).rejects.toThrow('stood still for 1000 ms');
    await vi.waitFor(async () => expect(await s3.connections()).toBeLessThanOrEqual(before), 5_000);
    expect((await read(store, 'nine'))?.length).toBe(MIB);
  });

  it.each([
    ['a content that nobody began to read', 20_000, (store: BlobStore) => letGo(store)],
    [
      'an answer that does not end',
      3_000,
      (store: BlobStore) =>
        expect(store.write('large', pieces(Buffer.alloc(9 * MIB)))).rejects.toThrow('did not end'),
    ],
  ])('is hung up on after %s', async (_what, requestMs, use) => {
    const own = await startScriptedS3();
    try {
      const options = { ...own, endpoint: own.url, bucket: 'bucket', prefix: '' };
      const store = createS3Store({ ...options, requestMs, idleMs: 20_000 });
      await store.write('eleven', pieces(Buffer.alloc(MIB)));
      own.answerWith('stall');
      await use(store);
      await vi.waitFor(async () => expect(await own.connections()).toBe(0), 4_000);
    } finally {
      await own.stop();
    }
  });
  async function letGo(store: BlobStore): Promise<void> {
    const content = await store.read('eleven');
    content!.stream.destroy();
  }

  it('does not take a reader’s own slowness for a silence of the store', async () => {
    const store = openHasty();
    await store.write('ten', pieces(Buffer.alloc(4 * MIB)));
    const content = await store.read('ten');
    let bytes = 0;
    for await (const piece of content!.stream as AsyncIterable<Uint8Array>) {
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 1_500));
      bytes += piece.length;
    }
    expect(bytes).toBe(4 * MIB);
  });
});
