import { expect, it } from 'vitest';
import type { ProviderAccepted, ProviderEnded, ProviderNote } from './journals.ts';
import { joinProviderBatches } from './provider-journal.ts';

function post(sequence: number, path = '/batches'): ProviderAccepted {
  const request = { at: '', account: 'account', method: 'POST', model: null, stepId: null, batchId: null };
  return { event: 'accepted', sequence, path, ...request };
}

function ended(sequence: number, fault: string | null): ProviderEnded {
  const counts = { inputTokens: 0, outputTokens: 0, bytesSent: 0 };
  return { event: 'ended', sequence, at: '', status: 200, finished: true, aborted: false, fault, ...counts };
}

function created(batchId: string): ProviderNote {
  return { event: 'batch.created', at: '', account: 'account', batchId, contentSha256: 'content' };
}

it('reads of each batch whose lines it has and whether its creator was kept from hearing of it', () => {
  const batches = joinProviderBatches([
    post(1),
    created('batch_1'),
    { event: 'batch.read', batchId: 'batch_1', customIdsSha256: 'lines' },
    ended(1, 'lost_response'),
    post(4),
    created('batch_2'),
    ended(4, null),
  ]);
  expect(batches).toEqual([
    {
      batchId: 'batch_1',
      at: '',
      account: 'account',
      contentSha256: 'content',
      customIdsSha256: 'lines',
      createFault: 'lost_response',
    },
    {
      batchId: 'batch_2',
      at: '',
      account: 'account',
      contentSha256: 'content',
      customIdsSha256: null,
      createFault: null,
    },
  ]);
});

it('takes the fault of another request, or one before, for no excuse', () => {
  const [batch] = joinProviderBatches([
    post(1),
    ended(1, 'lost_response'),
    post(2, '/responses'),
    post(3),
    created('batch_1'),
    ended(2, 'server_error'),
    ended(3, null),
  ]);
  expect(batch?.createFault).toBeNull();
});
