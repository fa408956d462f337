import type { EmbedNode, StepRequest } from '@millrace/contracts';
import type { Place, Run } from '../run/run.ts';
import { callKey } from '../run/step-keys.ts';
import type { Settled } from '../run/step.ts';
import { renderOrFail } from './render-or-fail.ts';

/** One call for vectors: one step. Each input is a message of its request, so that whatever measures texts sees them. */
export function runEmbed(run: Run, node: EmbedNode, place: Place): Promise<Settled> {
  const key = callKey(place.path);
  return run.step(key, place, () => renderOrFail(key, place, () => renderEmbed(run, node, place)));
}

function renderEmbed(run: Run, node: EmbedNode, { scope }: Place): StepRequest {
  const single = typeof node.text === 'string';
  const texts = typeof node.text === 'string' ? [node.text] : node.text;
  return {
    kind: 'call',
    route: node.route ?? null,
    model: node.model ?? null,
    system: null,
    messages: texts.map((text, index) => ({
      role: 'user',
      content: run.templates.render(text, scope, single ? 'text' : `text[${index}]`),
    })),
    output: null,
    maxOutputTokens: null,
    stream: false,
    embedding: {
      dimensions: node.dimensions ?? null,
      encoding: node.encoding_format ?? 'float',
      single,
    },
  };
}
