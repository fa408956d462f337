import { createAnthropicProvider } from './anthropic/anthropic-provider.ts';
import { createChatProvider } from './openai-compatible/chat-provider.ts';
import { createOpenAIProvider } from './openai/responses-provider.ts';
import type { Provider } from './provider.ts';
import type { ProviderOptions } from './provider-options.ts';
import type { SendingSetup } from './sending/send-call.ts';
import { SocketGuard } from './sending/socket-guard.ts';

const DEFAULT_IDLE_TIMEOUT_MS = 60_000;

/**
 * A provider account ready for calls. Nothing is sent before the first call. Throws `TypeError` when an OpenAI-compatible
 * server has no base URL.
 */
export function createProvider(options: ProviderOptions): Provider {
  const setup: SendingSetup = {
    provider: options.name,
    guard: new SocketGuard(options.maxConcurrentSockets, options.minSpacingMs),
    idleTimeoutMs: options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS,
    now: options.now ?? Date.now,
    tokenizerFactor: options.tokenizerFactor ?? (() => 1),
  };
  switch (options.kind) {
    case 'openai':
      return createOpenAIProvider(options, setup);
    case 'anthropic':
      return createAnthropicProvider(options, setup);
    case 'openai_compatible':
      return createChatProvider(options, setup);
  }
}
