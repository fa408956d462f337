import { expect, test } from 'vitest';
import { readDocument, sectionOf, tableRows } from './read-markdown.ts';

/** The rows of eslint.config.mjs that say which lib a lib may import. */
const lintRows = [...readDocument('eslint.config.mjs').matchAll(/\blib\(\s*'([a-z]+)',\s*\[([^\]]*)\]/g)].map(
  ([, name = '', list = '']) => [name, namesIn(list)] as const,
);

test('the table of ARCHITECTURE.md says of every lib what lint enforces', () => {
  expect(lintRows.length).toBeGreaterThan(8);
  const documented = new Map(
    tableRows(sectionOf(readDocument('ARCHITECTURE.md'), '## The house')).map(
      ([room = '', , mayImport = '']) => [room, mayImport === 'nothing' ? [] : mayImport.split(', ').sort()],
    ),
  );
  for (const [name, mayImport] of lintRows) {
    expect(documented.get(`libs/${name}`), `libs/${name}`).toEqual(mayImport);
  }
  const libs = [...documented.keys()].filter((room) => room.startsWith('libs/'));
  expect(libs.sort()).toEqual(lintRows.map(([name]) => `libs/${name}`).sort());
});

test('ARCHITECTURE.md stays under two pages', () => {
  const words = readDocument('ARCHITECTURE.md')
    .replace(/```[^]*?```/g, '')
    .split(/\s+/).length;
  expect(words).toBeLessThan(1_300);
});

function namesIn(list: string): string[] {
  return [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name).sort();
}
