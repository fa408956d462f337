import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isPublicAddress } from '@millrace/contracts';

/** Resolves a host name for a socket, as `dns.lookup` does. */
export type Lookup = LookupFunction;

/** A name stands for an address that is not public; nothing was connected to. */
export class NotPublicError extends Error {
  readonly code = 'ENOTPUBLIC';

  constructor() {
    super('the host stands for an address that is not public');
    this.name = 'NotPublicError';
  }
}

/**
 * A lookup that fails when any of the addresses is not public. The socket connects to what this returned and asks nobody
 * again, so a name cannot be checked with one address and called with another.
 */
export function publicOnly(lookup: Lookup): Lookup {
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, found, family) => {
      if (error) {
        callback(error, found, family);
        return;
      }
      const addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address);
      const refused = addresses.length === 0 || !addresses.every(isPublicAddress);
      if (refused) callback(new NotPublicError(), [] satisfies LookupAddress[]);
      else callback(null, found, family);
    });
  };
}
