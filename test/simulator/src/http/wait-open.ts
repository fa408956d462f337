import { isClosed, type Exchange } from './exchange.ts';

/** Waits while the client stays: true when the time is over, false when the connection closed first. */
export async function waitOpen(exchange: Exchange, durationMs: number): Promise<boolean> {
  if (isClosed(exchange)) return false;
  if (durationMs <= 0) return true;
  return new Promise((resolve) => {
    const { response } = exchange;
    const settle = (elapsed: boolean): void => {
      clearTimeout(timer);
      response.off('close', onClose);
      resolve(elapsed);
    };
    const onClose = (): void => {
      settle(false);
    };
    const timer = setTimeout(
      () => {
        settle(true);
      },
      Math.min(durationMs, 2_147_483_647),
    );
    response.once('close', onClose);
  });
}

/** Waits until the connection closes. */
export async function waitClosed(exchange: Exchange): Promise<void> {
  if (isClosed(exchange)) return;
  await new Promise<void>((resolve) => exchange.response.once('close', resolve));
}
