/**
 * Waits for the line in which a process says where it listens: `{"listening":"http://…"}` (simulator) or
 * `{"msg":"listening","url":"http://…"}` (apps). An address that means every interface becomes the loopback one.
 * `url` rejects when the process is given up, when `signal` is aborted, or after `timeoutMs`.
 */
export function announcedUrl(
  name: string,
  timeoutMs: number,
  signal: AbortSignal,
): { url: Promise<string>; take: (line: string) => void; giveUp: (error: Error) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(
    () => reject(new Error(`${name} did not say within ${timeoutMs / 1000} s where it listens`)),
    timeoutMs,
  );
  signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  // Whoever waits gets the rejection; nobody may be waiting yet, or any more.
  promise.catch(() => undefined).finally(() => clearTimeout(timer));
  return {
    url: promise,
    take: (line) => {
      const url = urlIn(line);
      if (url !== null) resolve(url);
    },
    giveUp: reject,
  };
}

function urlIn(line: string): string | null {
  if (!line.startsWith('{') || !line.includes('listening')) return null;
  try {
    const entry = JSON.parse(line) as { listening?: unknown; msg?: unknown; url?: unknown };
    const announced = entry.msg === 'listening' ? entry.url : entry.listening;
    if (typeof announced !== 'string') return null;
    const url = new URL(announced);
    return `${url.protocol}//${['0.0.0.0', '[::]'].includes(url.hostname) ? '127.0.0.1' : url.hostname}:${url.port}`;
  } catch {
    return null;
  }
}
