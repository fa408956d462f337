import { Readable } from 'node:stream';
import type { ClientBatchProblem } from '@millrace/ledger';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatLine, openBatchFixture } from './testing/open-batch-fixture.ts';
import type { BatchFixture } from './testing/open-batch-fixture.ts';

let fixture: BatchFixture;
beforeAll(async () => {
  fixture = await openBatchFixture();
});
afterAll(() => fixture.close());

const line = (customId: string, body: object = {}): string => JSON.stringify(chatLine(customId, body));

/** A batch over just these bytes. */
async function createOver(bytes: Buffer): Promise<string> {
  const id = await fixture.create([chatLine('a')]);
  await fixture.blobs.write((await fixture.batch(id)).inputFileId, Readable.from([bytes]));
  return id;
}

async function problemsOf(...lines: (string | Buffer)[]): Promise<Partial<ClientBatchProblem>[]> {
  const bytes = lines.flatMap((each) => [Buffer.from(each), Buffer.from('\n')]);
  const { problems } = await fixture.moveTo(await createOver(Buffer.concat(bytes)), 'failed');
  return problems;
}

it('a byte order mark, CRLF, blank lines and a missing newline at the end change nothing', async () => {
  const text = `\ufeff${line('a')}\r\n\r\n   \r\n${line('b')}\r\n${line('ü')}`;
  const id = await createOver(Buffer.from(`${text}\r\n\r\n`));
  expect(await fixture.moveTo(id, 'in_progress')).toMatchObject({ total: 3 });
  await fixture.move(id);
  for (const job of await fixture.jobs(id)) await fixture.complete(job);
  const done = await fixture.moveTo(id, 'completed');
  const results = await fixture.linesOf(done.outputFileId);
  expect(results.map((each) => each['custom_id'])).toEqual(['a', 'b', 'ü']);

  const bare = await createOver(Buffer.from(text));
  expect(await fixture.moveTo(bare, 'in_progress')).toMatchObject({ total: 3 });
});

it('a byte order mark alone is an empty file, and within the file it is no JSON', async () => {
  expect(await problemsOf('\ufeff')).toMatchObject([{ code: 'empty_file', line: null }]);
  expect(await problemsOf(line('a'), `\ufeff${line('b')}`)).toMatchObject([
    { code: 'invalid_json_line', line: 2, param: null },
  ]);
});

it('bytes that are not UTF-8 are a problem of their line, also within a text', async () => {
  const [before, after] = line('cut', { user_text: 'X' }).split('X');
  const latin = Buffer.concat([Buffer.from(before!), Buffer.from([0xe4]), Buffer.from(after!)]);
  const surrogate = Buffer.concat([
    Buffer.from(before!),
    Buffer.from([0xed, 0xa0, 0x80]),
    Buffer.from(after!),
  ]);
  expect(await problemsOf(line('a'), latin, surrogate)).toMatchObject(
    [2, 3].map((at) => ({
      code: 'invalid_json_line',
      line: at,
      message: 'This line is not valid UTF-8.',
      param: null,
    })),
  );
  const utf16 = await problemsOf(Buffer.from(`\ufeff${line('a')}`, 'utf16le'));
  expect(utf16[0]).toMatchObject({ code: 'invalid_json_line', line: 1 });
});

it('a line that is too long, or has a custom_id that was there, is named, and the lines around it are read', async () => {
  const long = line('long', { messages: [{ role: 'user', content: 'x'.repeat(20_000) }] });
  expect(await problemsOf(line('a'), long, line('a'), 'nonsense', '[1]', '"text"', line('b'))).toMatchObject([
    { code: 'line_too_large', line: 2, param: null },
    { code: 'duplicate_custom_id', line: 3, param: 'custom_id' },
    { code: 'invalid_json_line', line: 4 },
    { code: 'invalid_json_line', line: 5 },
    { code: 'invalid_json_line', line: 6 },
  ]);
});

it('50,000 lines are a batch, one more is not', async () => {
  const lines = Array.from({ length: 50_000 }, (_each, at) => line(String(at)));
  const most = await createOver(Buffer.from(lines.join('\n')));
  expect(await fixture.moveTo(most, 'in_progress', 'failed')).toMatchObject({ total: 50_000, problems: [] });
  expect(await problemsOf(...lines, line('one more'))).toMatchObject([
    { code: 'too_many_tasks', line: null, param: null },
  ]);
}, 60_000);
