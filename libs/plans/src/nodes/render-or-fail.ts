import type { StepRequest } from '@millrace/contracts';
import type { Place } from '../run/run.ts';
import { nodeFailure } from '../run/signals.ts';
import { TemplateError } from '../templates/template-engine.ts';

/** Makes the request of the step `key`; a template that cannot be rendered fails the node at this place. */
export function renderOrFail(key: string, place: Place, render: () => StepRequest): StepRequest {
  try {
    return render();
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw nodeFailure('template_failed', `${key}.${error.message}`, key, place.after);
  }
}
