import type { EventPosition } from '@millrace/contracts';
import type { LivePublisher } from '@millrace/transport';

/** Sends a call's text to its watchers while it arrives. */
export interface TextStream {
  push(text: string): void;
  /** Resolves when all that was pushed is published (or given up), after a second at most. */
  finish(): Promise<void>;
}

const FINISH_PATIENCE_MS = 1_000;

/**
 * Publishes text after the event that started the attempt. One append is under way at a time; what arrives meanwhile goes
 * with the next one, so a slow Redis makes bigger pieces and no queue. After an error the rest of the attempt is not
 * streamed: a gap in the middle would be worse than an end.
 */
export function createTextStream(options: {
  publisher: LivePublisher;
  jobId: string;
  step: string;
  attempt: number;
  after: EventPosition;
  onError: (error: unknown) => void;
}): TextStream {
  let waiting = '';
  let position = options.after;
  let broken = false;
  let underWay: Promise<void> | null = null;

  function start(): void {
    underWay = appendNext().then(() => {
      underWay = null;
      if (waiting !== '' && !broken) start();
    });
  }

  async function appendNext(): Promise<void> {
    const text = waiting;
    waiting = '';
    try {
      const delta = { step: options.step, attempt: options.attempt, text };
      position = await options.publisher.appendDelta(options.jobId, position, delta);
    } catch (error) {
      broken = true;
      options.onError(error);
    }
  }

  async function quiet(): Promise<void> {
    while (underWay) await underWay;
  }

  return {
    push(text) {
      if (broken || text === '') return;
      waiting += text;
      if (!underWay) start();
    },
    async finish() {
      let timer: NodeJS.Timeout | undefined;
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, FINISH_PATIENCE_MS);
      });
      await Promise.race([quiet(), patience]);
      clearTimeout(timer);
      broken = true;
    },
  };
}

/** The stream of a call that nobody asked to stream. */
export const noTextStream: TextStream = Object.freeze({
  push: () => undefined,
  finish: () => Promise.resolve(),
});
