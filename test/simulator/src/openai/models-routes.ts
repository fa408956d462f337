import type { JsonHandler } from '../http/serve-json.ts';
import type { ModelCard } from '../model-catalogue.ts';
import { modelNotFound } from './request-checks.ts';

const RELEASED_AT_SECONDS = 1_790_000_000;

export const listOpenaiModels: JsonHandler = (simulator) => ({
  object: 'list',
  data: simulator.models().list('openai').map(modelObject),
});

export const getOpenaiModel: JsonHandler = (simulator, exchange) => {
  const id = decodeURIComponent(exchange.parameters[0] ?? '');
  const card = simulator.models().find('openai', id);
  return card === null ? modelNotFound(id) : modelObject(card);
};

function modelObject(card: ModelCard): object {
  return { id: card.id, object: 'model', created: RELEASED_AT_SECONDS, owned_by: 'system' };
}
