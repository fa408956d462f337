import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const allowed = /^(node:|\.{1,2}\/|standardwebhooks$|vitest$)/;

it.each(['.', '../checker'])('lets nothing of the product into %s', (folder) => {
  const directory = join(import.meta.dirname, folder);
  const files = readdirSync(directory).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  expect(files.length).toBeGreaterThan(5);
  for (const name of files) {
    const imports = [
      ...readFileSync(join(directory, name), 'utf8').matchAll(/^(?:import|export) .*from '([^']+)'/gm),
    ].map(([, from]) => from!);
    for (const from of imports) {
      expect([name, from, allowed.test(from)]).toEqual([name, from, true]);
      if (from.startsWith('..')) expect(from).toMatch(/^\.\.\/(observer|checker)\//);
    }
  }
});
