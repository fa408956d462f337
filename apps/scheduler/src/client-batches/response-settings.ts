import type { BlobStore } from '@millrace/blobs';
import type { ClientBatch } from '@millrace/ledger';
import { readMetadata } from './body-fields.ts';
import { bodyOf } from './read-line.ts';
import { readLines } from './read-lines.ts';
import type { FileLine } from './read-lines.ts';

/** What a `/v1/responses` line asked for and OpenAI's answer says again. Null: nothing was asked for, or it is not known. */
export interface ResponseSettings {
  instructions: string | null;
  metadata: Readonly<Record<string, string>> | null;
  parallel_tool_calls: boolean;
  temperature: number | null;
  tool_choice: 'auto' | 'none';
  top_p: number | null;
}

/** Of a line whose input is gone. */
export const unknownSettings: ResponseSettings = {
  instructions: null,
  metadata: null,
  parallel_tool_calls: true,
  temperature: null,
  tool_choice: 'auto',
  top_p: null,
};

/** The settings of a batch's lines, which are asked for in the order of the lines. */
export interface SettingsReader {
  of(line: number): Promise<ResponseSettings>;
  close(): Promise<void>;
}

/**
 * Reads them from the batch's input, which is opened when the first is asked for; the ledger keeps plans, which have the
 * instructions and the system messages as one. Holds one line at a time. `of` throws BlobStoreUnavailable.
 */
export function createSettingsReader(
  batch: Pick<ClientBatch, 'inputFileId'>,
  options: { blobs: BlobStore; maxLineBytes: number },
): SettingsReader {
  const lines = inputLines(batch, options);
  return {
    async of(line) {
      for (;;) {
        const next = await lines.next();
        if (next.done) return unknownSettings;
        if (next.value.number === line) return toSettings(next.value.text);
      }
    },
    async close() {
      await lines.return();
    },
  };
}

async function* inputLines(
  { inputFileId }: Pick<ClientBatch, 'inputFileId'>,
  { blobs, maxLineBytes }: { blobs: BlobStore; maxLineBytes: number },
): AsyncGenerator<FileLine, void> {
  const content = await blobs.read(inputFileId);
  if (!content) return;
  try {
    yield* readLines(content.stream, { fromLine: 1, fromByte: 0, maxLineBytes });
  } finally {
    content.stream.destroy();
  }
}

/** With OpenAI's defaults for what the line did not ask for. */
function toSettings(text: string | null): ResponseSettings {
  const body = bodyOf(text);
  if (!body) return unknownSettings;
  const { instructions, temperature, top_p, parallel_tool_calls, tool_choice } = body;
  return {
    instructions: typeof instructions === 'string' ? instructions : null,
    metadata: readMetadata(body['metadata'], 'body.metadata'),
    parallel_tool_calls: parallel_tool_calls !== false,
    temperature: typeof temperature === 'number' ? temperature : 1,
    tool_choice: tool_choice === 'none' ? 'none' : 'auto',
    top_p: typeof top_p === 'number' ? top_p : 1,
  };
}
