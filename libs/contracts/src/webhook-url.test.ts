import { describe, expect, it } from 'vitest';
import { isPublicAddress } from './public-address.ts';
import { findWebhookUrlFault } from './webhook-url.ts';

const privateForms = [
  'https://127.0.0.1/',
  'https://127.1/',
  'https://0x7f000001/',
  'https://0x7f.0.0.1/',
  'https://0177.0.0.1/',
  'https://2130706433/',
  'https://①②⑦.0.0.1/',
  'https://%31%32%37.0.0.1/',
  'https://127.0.0.1./',
  'https://0/',
  'https://0.0.0.0/',
  'https://10.0.0.1/',
  'https://100.64.0.1/',
  'https://169.254.169.254/latest/meta-data/',
  'https://172.31.255.255/',
  'https://192.168.1.1/',
  'https://198.18.0.1/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[::]/',
  'https://[::1]/',
  'https://[::127.0.0.1]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:8.8.8.8]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
  'https://[2001:0:7f00:1::]/',
  'https://[fe80::1]/',
  'https://[fec0::1]/',
  'https://[fc00::1]/',
  'https://[fd00:ec2::254]/',
  'https://[ff02::1]/',
  'https://localhost/',
  'https://localhost./',
  'https://LOCALHOST/',
  'https://app.localhost/',
];

describe('findWebhookUrlFault', () => {
  it.each(privateForms)('refuses %s', (url) => {
    expect(findWebhookUrlFault(url, [])).toMatch(/not a public address/);
  });

  it.each([
    'https://example.com/hooks?a=b',
    'https://example.com:8443/',
    'https://8.8.8.8/',
    'https://[2606:4700:4700::1111]/',
  ])('accepts %s', (url) => {
    expect(findWebhookUrlFault(url, [])).toBeNull();
  });

  it.each([
    ['http://example.com/', /https/],
    ['ftp://example.com/', /https/],
    ['not a url', /https/],
    ['https://example.com:8080/', /port/],
    ['https://user@example.com/', /user/],
    ['https://:secret@example.com/', /user/],
    ['https://intranet/', /domain name/],
    [`https://example.com/${'a'.repeat(2_048)}`, /longer/],
  ])('refuses %.40s', (url, reason) => {
    expect(findWebhookUrlFault(url, [])).toMatch(reason);
  });

  it('lets listed hosts be private, plain and on any port, and only those', () => {
    expect(findWebhookUrlFault('http://127.0.0.1:9000/', ['127.0.0.1:9000'])).toBeNull();
    expect(findWebhookUrlFault('http://0x7f000001:9000/', ['127.0.0.1:9000'])).toBeNull();
    expect(findWebhookUrlFault('http://hooks.internal:81/', ['Hooks.Internal'])).toBeNull();
    expect(findWebhookUrlFault('http://[::1]:9000/', ['[::1]:9000'])).toBeNull();
    expect(findWebhookUrlFault('https://hooks.internal/', ['hooks.internal:443'])).toBeNull();
    expect(findWebhookUrlFault('http://127.0.0.1:9001/', ['127.0.0.1:9000'])).not.toBeNull();
    expect(findWebhookUrlFault('http://evil.hooks.internal/', ['hooks.internal'])).not.toBeNull();
    expect(findWebhookUrlFault('http://user@hooks.internal/', ['hooks.internal'])).not.toBeNull();
  });
});

describe('isPublicAddress', () => {
  it('knows public addresses of both families and nothing else', () => {
    expect(isPublicAddress('93.184.215.14')).toBe(true);
    expect(isPublicAddress('2606:4700::1')).toBe(true);
    expect(isPublicAddress('fe80::1%eth0')).toBe(false);
    expect(isPublicAddress('example.com')).toBe(false);
    expect(isPublicAddress('')).toBe(false);
  });
});
