import { runKeys } from './create-key.ts';
import type { ChaosStack } from './start-chaos-stack.ts';

/**
 * A receiver that answers 500 to the first try of each webhook and takes the second, for jobs that name it as their own. Its
 * URL.
 */
export async function openFlakyReceiver(stack: ChaosStack): Promise<string> {
  const said = await runKeys(stack.databaseUrl, ['tenants', '--tenant', 'default', '--show-webhook-secret']);
  return stack.sink.open('/flaky', said.trim().split('\n').at(-1) ?? '');
}
