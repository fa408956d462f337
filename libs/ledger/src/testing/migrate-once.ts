import { migrate } from '../migrate.ts';

/** A process of its own that migrates and prints what it applied. */
const [url = ''] = process.argv.slice(2);
await migrate(url, (line) => process.stdout.write(`${line}\n`));
process.stdout.write('migrated\n');
