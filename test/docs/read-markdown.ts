import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository's root directory. */
export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** Reads a document by its path from the repository's root. */
export function readDocument(path: string): string {
  return readFileSync(new URL(path, new URL('../../', import.meta.url)), 'utf8');
}

/** A fenced block: its info string (`sh tour`) and the text between the fences. */
export interface FencedBlock {
  info: string;
  text: string;
}

/** The fenced blocks of a document, in order. */
export function fencedBlocks(markdown: string): FencedBlock[] {
  return [...markdown.matchAll(/^```([^\n`]+)\n([^]*?)^```$/gm)].map(([, info = '', text = '']) => ({
    info: info.trim(),
    text,
  }));
}

/** The text below a heading (`## Settings`), up to the next heading of the same or a higher level. */
export function sectionOf(markdown: string, heading: string): string {
  const start = markdown.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`there is no heading "${heading}"`);
  const body = markdown.slice(start + heading.length + 2);
  const level = heading.indexOf(' ');
  const next = body.search(new RegExp(`^#{1,${level}} `, 'm'));
  return next === -1 ? body : body.slice(0, next);
}

/**
 * The rows of all tables in a text whose first cell is code, as cells without the code marks. A `|` inside a cell is written
 * `\|`, as Markdown asks.
 */
export function tableRows(markdown: string): string[][] {
  return markdown
    .split('\n')
    .filter((line) => /^\| *`/.test(line))
    .map((line) =>
      line
        .replace(/^\||\|\s*$/g, '')
        .split(/(?<!\\)\|/)
        .map((cell) =>
          cell
            .trim()
            .replace(/\\\|/g, '|')
            .replace(/^`(.*)`$/, '$1'),
        ),
    );
}

/** Every text in code marks of a document, without its fenced blocks. */
export function codeTexts(markdown: string): Set<string> {
  const prose = markdown.replace(/^```[^]*?^```$/gm, '');
  return new Set([...prose.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text));
}
