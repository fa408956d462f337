import { errorCatalogue } from '@millrace/contracts';
import { expect, test } from 'vitest';
import { readDocument, tableRows } from './read-markdown.ts';

test('docs/errors.md lists exactly the error catalogue: code, status, title, whether it is worth a retry', () => {
  const documented = tableRows(readDocument('docs/errors.md')).map(([code, status, retry, title]) => ({
    code,
    status,
    retry,
    title,
  }));
  const catalogue = Object.entries(errorCatalogue).map(([code, { status, retryable, title }]) => ({
    code,
    status: status === null ? 'job' : String(status),
    retry: retryable ? 'yes' : 'no',
    title,
  }));
  expect(byCode(documented)).toEqual(byCode(catalogue));
});

test('every error says what it means and what to do', () => {
  for (const cells of tableRows(readDocument('docs/errors.md'))) {
    expect(cells, cells[0]).toHaveLength(5);
    expect(cells[4], cells[0]).toMatch(/.{20,}\.$/);
  }
});

function byCode<Row extends { code: string | undefined }>(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => (a.code ?? '').localeCompare(b.code ?? ''));
}
