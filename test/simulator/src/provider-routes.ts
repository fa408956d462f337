import { serveCall, type CallEndpoint } from './answer/serve-call.ts';
import { messageBatchRoutes } from './anthropic/batch-routes.ts';
import { countMessageTokens } from './anthropic/count-tokens.ts';
import { messagesEndpoint } from './anthropic/messages-endpoint.ts';
import { getAnthropicModel, listAnthropicModels } from './anthropic/models-routes.ts';
import type { Route } from './http/routes.ts';
import { serveJson, type JsonHandler } from './http/serve-json.ts';
import type { Vendor } from './model-catalogue.ts';
import { batchRoutes } from './openai/batches/batch-routes.ts';
import { chatEndpoint } from './openai/chat-endpoint.ts';
import { embeddingsEndpoint } from './openai/embeddings-endpoint.ts';
import { fileRoutes } from './openai/file-routes.ts';
import { getOpenaiModel, listOpenaiModels } from './openai/models-routes.ts';
import { createResponseStore } from './openai/response-store.ts';
import { responsesEndpoint } from './openai/responses-endpoint.ts';
import { cancelResponse, deleteResponse, getResponse } from './openai/stored-responses.ts';
import type { Simulator } from './simulator.ts';

/** Every route of both vendors. */
export function providerRoutes(simulator: Simulator): readonly Route[] {
  const responses = createResponseStore();
  const { routes: ofFiles, files } = fileRoutes(simulator);
  const call = (dialect: Vendor, path: string, endpoint: CallEndpoint): Route => ({
    dialect,
    method: 'POST',
    path,
    serve: (exchange) => serveCall(simulator, exchange, endpoint),
  });
  const json = (dialect: Vendor, method: string, path: string, handler: JsonHandler): Route => ({
    dialect,
    method,
    path,
    serve: (exchange) => serveJson(simulator, exchange, handler),
  });
  return [
    call('openai', '/chat/completions', chatEndpoint()),
    call('openai', '/responses', responsesEndpoint(responses)),
    json('openai', 'GET', '/responses/{id}', getResponse(responses)),
    json('openai', 'POST', '/responses/{id}/cancel', cancelResponse(responses)),
    json('openai', 'DELETE', '/responses/{id}', deleteResponse(responses)),
    call('openai', '/embeddings', embeddingsEndpoint()),
    json('openai', 'GET', '/models', listOpenaiModels),
    json('openai', 'GET', '/models/{id}', getOpenaiModel),
    ...ofFiles,
    ...batchRoutes(simulator, files),
    call('anthropic', '/messages', messagesEndpoint()),
    json('anthropic', 'POST', '/messages/count_tokens', countMessageTokens),
    json('anthropic', 'GET', '/models', listAnthropicModels),
    json('anthropic', 'GET', '/models/{id}', getAnthropicModel),
    ...messageBatchRoutes(simulator),
  ];
}
