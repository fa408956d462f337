import { RetryableError, TerminalError } from '@millrace/contracts';

/** Cancels; a refusal is no error when the batch turns out to have ended, which the vendors answer with 400 or 409. */
export async function cancelUnlessEnded(
  cancel: () => Promise<unknown>,
  hasEnded: () => Promise<boolean>,
): Promise<void> {
  try {
    await cancel();
  } catch (error) {
    if (!isRefusal(error) || !(await hasEnded())) throw error;
  }
}

function isRefusal(error: unknown): boolean {
  if (!(error instanceof TerminalError) && !(error instanceof RetryableError)) return false;
  return error.failure.httpStatus === 400 || error.failure.httpStatus === 409;
}
