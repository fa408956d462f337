import type { JsonHandler } from '../http/serve-json.ts';
import { vendorError } from '../http/vendor-error.ts';
import type { ModelCard } from '../model-catalogue.ts';

export const listAnthropicModels: JsonHandler = (simulator) => {
  const data = simulator.models().list('anthropic').map(modelObject);
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
};

export const getAnthropicModel: JsonHandler = (simulator, exchange) => {
  const id = decodeURIComponent(exchange.parameters[0] ?? '');
  const card = simulator.models().find('anthropic', id);
  return card === null ? vendorError(404, 'not_found_error', `model: ${id}`) : modelObject(card);
};

function modelObject(card: ModelCard): ModelObject {
  return {
    id: card.id,
    type: 'model',
    display_name: card.id,
    created_at: '2026-09-01T00:00:00Z',
    max_input_tokens: card.contextTokens,
    max_tokens: card.maxOutputTokens,
  };
}

interface ModelObject {
  readonly id: string;
  readonly type: 'model';
  readonly display_name: string;
  readonly created_at: string;
  readonly max_input_tokens: number;
  readonly max_tokens: number;
}
