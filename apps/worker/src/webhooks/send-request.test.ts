import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { withTimeout } from '@millrace/test-support';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Lookup } from './public-lookup.ts';
import { sendRequest } from './send-request.ts';
import type { OutgoingRequest } from './send-request.ts';
import { startReceiver } from './testing/receiver.ts';
import type { Receiver } from './testing/receiver.ts';

let receiver: Receiver;
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(() => receiver.close());

const send = (url: string, extra: Partial<OutgoingRequest> = {}) =>
  sendRequest({
    url: new URL(url),
    headers: { 'content-type': 'application/json' },
    body: '{"a":"ü"}',
    publicOnly: false,
    timeoutMs: 5_000,
    lookup: systemLookup,
    now: Date.now,
    ...extra,
  });

/** A resolver that gives every name these addresses. */
const resolvesTo = (...addresses: string[]): Lookup => {
  const found: LookupAddress[] = addresses.map((address) => ({
    address,
    family: address.includes(':') ? 6 : 4,
  }));
  return (_hostname, options, callback) => {
    if (options.all) callback(null, found);
    else callback(null, found[0]!.address, found[0]!.family);
  };
};

describe('sendRequest to public addresses only', () => {
  const forms = (port: number) => [
    `http://127.0.0.1:${port}/`,
    `http://127.1:${port}/`,
    `http://0x7f000001:${port}/`,
    `http://0177.0.0.1:${port}/`,
    `http://2130706433:${port}/`,
    `http://0:${port}/`,
    `http://0.0.0.0:${port}/`,
    `http://127.0.0.1.:${port}/`,
    `http://127.255.255.254:${port}/`,
    `http://[::1]:${port}/`,
    `http://[::]:${port}/`,
    `http://[::127.0.0.1]:${port}/`,
    `http://[::ffff:127.0.0.1]:${port}/`,
    `http://[::ffff:7f00:1]:${port}/`,
    `http://[64:ff9b::7f00:1]:${port}/`,
    `http://169.254.169.254:${port}/latest/meta-data/`,
    `http://10.0.0.1:${port}/`,
    `http://192.168.0.1:${port}/`,
    `http://[fd00::1]:${port}/`,
    `http://localhost:${port}/`,
    `https://127.0.0.1:${port}/`,
    `https://localhost:${port}/`,
  ];

  it('connects to none of the ways to write a private address', async () => {
    const sixth = await startReceiver('::1').catch(() => null);
    for (const url of [...forms(receiver.port), ...(sixth ? forms(sixth.port) : [])]) {
      const answer = await send(url, { publicOnly: true });
      expect.soft(answer.error, url).toMatch(/^not sent/);
    }
    expect(receiver.connections()).toBe(0);
    expect(sixth?.connections() ?? 0).toBe(0);
    await sixth?.close();
  });

  it.each([
    ['127.0.0.1'],
    ['::1'],
    ['::ffff:127.0.0.1'],
    ['169.254.169.254'],
    ['93.184.215.14', '127.0.0.1'],
    ['127.0.0.1', '93.184.215.14'],
  ])('does not connect to a name that stands for %s', async (...addresses) => {
    const answer = await send(`http://hooks.example:${receiver.port}/`, {
      publicOnly: true,
      lookup: resolvesTo(...addresses),
    });
    expect(answer.error).toBe('not sent: the host does not stand for public addresses only');
    expect(receiver.connections()).toBe(0);
  });

  it('would have reached the listener without the guard', async () => {
    const answer = await send(`http://hooks.example:${receiver.port}/`, { lookup: resolvesTo('127.0.0.1') });
    expect(answer.httpStatus).toBe(204);
    expect(receiver.connections()).toBe(1);
  });

  it('connects to what it checked: a name that changes after the check is not asked again', async () => {
    // An address of global unicast that nobody has been given.
    const answers = ['2fff:ffff::1', '127.0.0.1', '127.0.0.1'];
    let asked = 0;
    const lookup: Lookup = (hostname, options, callback) => {
      resolvesTo(answers[asked++] ?? '127.0.0.1')(hostname, options, callback);
    };
    const answer = await send(`http://hooks.example:${receiver.port}/`, {
      publicOnly: true,
      lookup,
      timeoutMs: 300,
    });
    expect(answer.httpStatus).toBeNull();
    expect(asked).toBe(1);
    expect(receiver.connections()).toBe(0);
  });
});

describe('sendRequest', () => {
  it('posts the body with its length in bytes on a connection of its own', async () => {
    await send(receiver.url);
    await send(receiver.url);
    expect(receiver.arrivals[0]).toMatchObject({
      method: 'POST',
      path: '/hooks?token=s3cret',
      body: '{"a":"ü"}',
      headers: { 'content-length': '10', connection: 'close', 'content-type': 'application/json' },
    });
    expect(receiver.connections()).toBe(2);
  });

  it('does not follow redirects', async () => {
    receiver.answerWith((response) => response.writeHead(307, { location: receiver.url }).end());
    expect(await send(receiver.url)).toMatchObject({ httpStatus: 307, error: 'redirects are not followed' });
    expect(receiver.arrivals).toHaveLength(1);
  });

  it('gives up on a receiver that does not answer', async () => {
    receiver.answerWith(() => {});
    expect(await send(receiver.url, { timeoutMs: 150 })).toMatchObject({
      httpStatus: null,
      error: 'no answer within 150 ms',
    });
  });

  it('gives up on a receiver that sends its headers a byte at a time', async () => {
    const dripping = createServer((socket) => {
      socket.on('error', () => {});
      socket.write('HTTP/1.1 2');
      const timer = setInterval(() => socket.write('0'), 20);
      socket.on('close', () => clearInterval(timer));
    }).listen(0, '127.0.0.1');
    await once(dripping, 'listening');
    const { port } = dripping.address() as AddressInfo;
    const answer = await withTimeout(send(`http://127.0.0.1:${port}/`, { timeoutMs: 200 }), 3_000, 'an end');
    expect(answer.httpStatus).toBeNull();
    dripping.close();
    await once(dripping, 'close');
  });

  it('gives up on a resolver that does not answer', async () => {
    const answer = await withTimeout(
      send('http://hooks.example/', { timeoutMs: 150, lookup: () => {} }),
      3_000,
      'an end',
    );
    expect(answer.error).toBe('no answer within 150 ms');
  });

  it('takes the status and leaves a body without end', async () => {
    let written = 0;
    let closed = false;
    receiver.answerWith((response) => {
      response.on('close', () => (closed = true));
      const more = (): void => {
        while (!closed && response.write('x'.repeat(65_536))) written += 65_536;
        if (!closed) response.once('drain', more);
      };
      response.writeHead(200);
      more();
    });
    const answer = await withTimeout(send(receiver.url), 3_000, 'an answer');
    expect(answer).toMatchObject({ httpStatus: 200, error: null });
    // Socket buffers on both sides take some; it must not be what five seconds of sending would be.
    expect(written).toBeLessThan(32 * 1024 * 1024);
  });

  it('takes the status of an answer whose body hangs until the time is up', async () => {
    receiver.answerWith((response) => response.writeHead(200).write('x'));
    expect(await send(receiver.url, { timeoutMs: 200 })).toMatchObject({ httpStatus: 200, error: null });
  });

  it('ends when the receiver switches protocols or resets', async () => {
    const rude = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () =>
        socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'),
      );
    }).listen(0, '127.0.0.1');
    await once(rude, 'listening');
    const { port } = rude.address() as AddressInfo;
    expect((await withTimeout(send(`http://127.0.0.1:${port}/`), 3_000, 'an end')).httpStatus).not.toBe(200);
    rude.close();
    await once(rude, 'close');
    expect((await send(`http://127.0.0.1:${port}/`)).error).toBe('the connection failed: ECONNREFUSED');
  });

  it('says what TLS said about a plain server and tells nothing of our network', async () => {
    const answer = await send(`https://127.0.0.1:${receiver.port}/`);
    expect(answer.httpStatus).toBeNull();
    expect(answer.error).toMatch(/^the connection failed: E[A-Z_]+$/);
  });

  it('reads Retry-After and the wish to stop', async () => {
    receiver.answerWith((response) =>
      response.writeHead(503, { 'retry-after': '90', 'webhook-delivery': 'abort-message' }).end(),
    );
    expect(await send(receiver.url)).toMatchObject({ httpStatus: 503, retryAfterMs: 90_000, abort: true });
  });
});
