import { serveCall } from './answer/serve-call.ts';
import { messagesEndpoint } from './anthropic/messages-endpoint.ts';
import type { Route } from './http/routes.ts';
import { chatEndpoint } from './openai/chat-endpoint.ts';
import { createResponseStore } from './openai/response-store.ts';
import { responsesEndpoint } from './openai/responses-endpoint.ts';
import type { Simulator } from './simulator.ts';

/** Every route of both vendors, and how to release what they hold. */
export function providerRoutes(simulator: Simulator): {
  routes: readonly Route[];
  stop: () => Promise<void>;
} {
  const responses = createResponseStore();
  const chat = chatEndpoint();
  const respond = responsesEndpoint(responses);
  const messages = messagesEndpoint();
  const routes: Route[] = [
    {
      dialect: 'openai',
      method: 'POST',
      path: '/chat/completions',
      serve: (exchange) => serveCall(simulator, exchange, chat),
    },
    {
      dialect: 'openai',
      method: 'POST',
      path: '/responses',
      serve: (exchange) => serveCall(simulator, exchange, respond),
    },
    {
      dialect: 'anthropic',
      method: 'POST',
      path: '/messages',
      serve: (exchange) => serveCall(simulator, exchange, messages),
    },
  ];
  return { routes, stop: async () => {} };
}
