import type { IncomingHttpHeaders } from 'node:http';

/** The API key of a request: `Authorization: Bearer …` or `x-api-key`; null when there is none. */
export function readApiKey(headers: IncomingHttpHeaders): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  const given = headers['x-api-key'];
  return typeof given === 'string' && given !== '' ? given : null;
}

/** The password of HTTP Basic (RFC 7617), which browsers ask their user for; the user name does not matter. */
export function readBasicPassword(headers: IncomingHttpHeaders): string | null {
  const encoded = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(headers.authorization ?? '')?.[1];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon === -1 ? null : decoded.slice(colon + 1);
}
