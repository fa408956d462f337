import { paceOf, type CallEndpoint } from '../answer/serve-call.ts';
import { runBackground } from './run-background.ts';
import type { ResponseStore } from './response-store.ts';
import { readResponses } from './read-responses.ts';
import { writeResponses } from './write-responses.ts';

/** `POST /v1/responses`; what is stored (the default) can be fetched again. */
export function responsesEndpoint(store: ResponseStore): CallEndpoint {
  return {
    maxBodyBytes: 64 * 1024 * 1024,
    read: readResponses,
    write: (call, answer, simulator) =>
      writeResponses(call, answer, simulator, (response) => {
        if (call.body['store'] !== false) store.keep(response);
      }),
    runBackground: (simulator, exchange, call, answer, admission) =>
      runBackground(
        simulator,
        exchange,
        store,
        call,
        answer,
        admission,
        paceOf(simulator, exchange, call, null),
      ),
  };
}
