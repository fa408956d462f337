import { appendFileSync, readFileSync } from 'node:fs';

/** Adds one line, synchronously: what a kill of this process must not lose is with the system when this returns. */
export function appendLine(path: string, entry: object): void {
  appendFileSync(path, `${JSON.stringify(entry)}\n`);
}

/** Reads every whole line of a journal; a file that is not there has none, a line that a kill cut short is left out. */
export function readLines<Entry>(path: string): Entry[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Entry];
    } catch {
      return [];
    }
  });
}
