import { loadConfigOrExit } from '@millrace/config';
import { migrate } from '@millrace/ledger';

/** `npm run migrate`: brings the ledger's schema up to date and ends. Run it before new versions of the apps start. */
const config = loadConfigOrExit();
await migrate(config.databaseUrl, (line) => console.log(line));
console.log('the ledger is up to date');
