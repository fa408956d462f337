import { sendCall } from './capacity-call.ts';
import type { CallAddress } from './capacity-call.ts';

/** Somebody else with the same account. */
export interface Outsider {
  perSecond: number;
  from: number;
  to: number;
}

/** Sends calls of 1,000 tokens at an even pace from one instant to another and looks at nothing. */
export async function sendFromOutside(
  address: CallAddress,
  { perSecond, from, to }: Outsider,
): Promise<{ sent: number; refused: number }> {
  const seen = { sent: 0, refused: 0 };
  if (perSecond === 0) return seen;
  await new Promise((resolve) => setTimeout(resolve, from - Date.now()));
  const calls: Promise<void>[] = [];
  while (Date.now() < to) {
    const due = Math.floor(((Date.now() - from) / 1_000) * perSecond);
    while (seen.sent < due) {
      seen.sent += 1;
      calls.push(
        sendCall(address, `outsider-${seen.sent}`, 1_000).then(({ status }) => {
          if (status === 429) seen.refused += 1;
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all(calls);
  return seen;
}
