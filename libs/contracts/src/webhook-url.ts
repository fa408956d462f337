import { isIP } from 'node:net';
import { isPublicAddress } from './public-address.ts';

const MAX_LENGTH = 2_048;
const PORTS = ['', '443', '8443'];

/**
 * Why a webhook may not be sent to this address, as a phrase for the caller, or null when it may. Checked when the address
 * is given and again on every try; what a name resolves to is checked when connecting. Hosts that the deployment lists
 * (see {@link isListedHost}) may be private, plain http and on any port.
 */
export function findWebhookUrlFault(text: string, listedHosts: readonly string[]): string | null {
  if (text.length > MAX_LENGTH) return `the address is longer than ${MAX_LENGTH} characters`;
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return 'the address must begin with https://';
  if (url.username !== '' || url.password !== '') return 'the address must not contain a user or a password';
  if (isListedHost(url, listedHosts)) return null;
  if (url.protocol !== 'https:') return 'the address must begin with https://';
  if (!PORTS.includes(url.port)) return 'the port must be 443 or 8443';
  const host = hostOf(url);
  if (isIP(host) !== 0) return isPublicAddress(host) ? null : 'the host is not a public address';
  if (host === 'localhost' || host.endsWith('.localhost')) return 'the host is not a public address';
  if (!host.includes('.')) return 'the host must be a full domain name';
  return null;
}

/**
 * Whether the deployment's list names the host of this URL: `name` stands for every port, `name:port` for one. The
 * comparison is on the whole host in lower case; IPv6 addresses are listed with brackets when a port follows.
 */
export function isListedHost(url: URL, listedHosts: readonly string[]): boolean {
  const host = hostOf(url);
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const bracketed = host.includes(':') ? `[${host}]` : host;
  const names = [host, bracketed, `${bracketed}:${port}`];
  return listedHosts.some((listed) => names.includes(listed.toLowerCase()));
}

/** The URL parser has already turned decimal, octal, hex and short IPv4 forms into dotted ones, and names to lower case. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}
