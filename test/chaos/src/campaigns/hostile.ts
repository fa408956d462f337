import { setTimeout as pause } from 'node:timers/promises';
import { tryAuthorization } from '../hostile/authorization.ts';
import type { Keys, OwnedIds } from '../hostile/authorization.ts';
import { canaries, findCanaries } from '../hostile/canaries.ts';
import { fuzz } from '../hostile/fuzz.ts';
import { readApi } from '../hostile/openapi.ts';
import { tryPrivateAddresses } from '../hostile/private-addresses.ts';
import { seededRandom } from '../seeded-random.ts';
import { createKey, runKeys } from '../stack/create-key.ts';
import { startChaosStack } from '../stack/start-chaos-stack.ts';
import type { ChaosStack } from '../stack/start-chaos-stack.ts';
import { attemptParts } from './attempt-run.ts';
import { isSelected } from './campaign.ts';
import type { Campaign, CampaignRequest, RunResult } from './campaign.ts';

const FUZZED_REQUESTS = 10_000;
const rows = ['authorization', 'private addresses', 'fuzzing', 'canaries'] as const;

/** What somebody sends who means no good. */
export const hostile: Campaign = {
  name: 'hostile',
  describes: '10,000 fuzzed requests, the matrix of routes and keys, private webhook addresses, canaries',
  seeds: 1,
  async run(request) {
    const startedAt = performance.now();
    const runs: RunResult[] = [];
    for (let seed = request.seed; seed < request.seed + request.seeds; seed += 1) {
      // One after the other on one stack: whoever asks for one of them gets all.
      if (!rows.some((row) => isSelected(request, `${row}-s${seed}`))) continue;
      const name = `hostile-s${seed}`;
      runs.push(...(await attemptParts(request, [{ name, work: () => oneSeed(request, seed) }])));
    }
    return { campaign: 'hostile', runs, tookMs: performance.now() - startedAt };
  },
};

async function oneSeed(request: CampaignRequest, seed: number): Promise<RunResult[]> {
  const stack = await startChaosStack({
    workers: 1,
    webhooks: false,
    environment: { MILLRACE_ALLOW_PRIVATE_WEBHOOKS: '', OPENAI_API_KEY: canaries.providerKey },
  });
  try {
    const keys = await makeKeys(stack);
    const { owned, endpointSecret } = await makeThings(stack, keys.own);
    const runs: RunResult[] = [];
    const tell = (
      row: (typeof rows)[number],
      faults: number,
      findings: readonly { invariant: string; what: string }[],
    ): void => {
      const run = `${row}-s${seed}`;
      const violations = findings.map((finding) => ({ ...finding, run, about: row }));
      request.progress(
        `${run}: ${faults} requests, ${findings.length === 0 ? 'ok' : `${findings.length} VIOLATIONS`}`,
      );
      for (const { invariant, what } of findings.slice(0, 20)) request.progress(`    ${invariant} ${what}`);
      runs.push({ run, seed, row, faults, landed: faults, violations, recoveries: [] });
    };
    const api = await readApi(stack.apiUrl);

    const matrix = await tryAuthorization(api, stack.apiUrl, keys, owned);
    tell(
      'authorization',
      matrix.asked,
      matrix.findings.map((what) => ({ invariant: 'I11', what })),
    );

    const idle = (): Promise<void> => pause(8_000);
    const addresses = await tryPrivateAddresses(stack.apiUrl, keys.own, idle);
    tell(
      'private addresses',
      addresses.tried,
      addresses.findings.map((what) => ({ invariant: 'I9', what })),
    );

    const restarts = (): number => stack.processes.reduce((sum, each) => sum + each.restarts, 0);
    const before = restarts();
    const fuzzed = await fuzz(
      api,
      { url: stack.apiUrl, key: keys.own, knownIds: Object.values(owned) },
      {
        count: FUZZED_REQUESTS,
        random: seededRandom(`fuzz-${seed}`),
        progress: (sent) => request.progress(`    ${sent} of ${FUZZED_REQUESTS} requests`),
      },
    );
    request.progress(
      `    statuses: ${[...fuzzed.statuses]
        .toSorted(([a], [b]) => a - b)
        .map(([status, count]) => `${status} ${count}×`)
        .join(', ')}`,
    );
    const deaths = restarts() - before;
    tell('fuzzing', fuzzed.sent, [
      ...fuzzed.findings.map(({ request: name, what }) => ({
        invariant: 'fuzzing',
        what: `${what} to ${name}`,
      })),
      ...(deaths === 0 ? [] : [{ invariant: 'fuzzing', what: `${deaths} processes died` }]),
    ]);

    const secrets = Object.fromEntries(
      Object.entries({ ...keys, endpointSecret }).map(([name, key]) => [`the key "${name}"`, key.slice(-24)]),
    );
    const sightings = await findCanaries(stack, secrets, addresses.errors);
    const places = [...new Set(sightings.map(({ canary, place }) => `${canary} in ${place}`))];
    tell(
      'canaries',
      Object.keys(canaries).length,
      places.map((what) => ({ invariant: 'I11', what })),
    );
    return runs;
  } finally {
    await stack.end();
  }
}

async function makeKeys(stack: ChaosStack): Promise<Keys> {
  const make = (tenant: string, scope: string): Promise<string> =>
    createKey(stack.databaseUrl, ['--tenant', tenant, '--scopes', scope]);
  const revoked = await make('acme', 'jobs');
  await runKeys(stack.databaseUrl, ['revoke', revoked.split('_')[1] ?? '']);
  const keys = {
    own: await make('acme', 'jobs'),
    revoked,
    stranger: stack.strangersKey,
    board: await make('acme', 'board'),
    admin: await make('acme', 'admin'),
  };
  // A revoked key may work for two seconds more.
  await pause(2_500);
  return keys;
}

/** One of each thing a tenant can own, with canaries in it wherever content may be. */
async function makeThings(
  stack: ChaosStack,
  key: string,
): Promise<{ owned: OwnedIds; endpointSecret: string }> {
  const post = async (path: string, body: object | FormData): Promise<{ id: string; secret?: string }> => {
    const isForm = body instanceof FormData;
    const response = await fetch(`${stack.apiUrl}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'idempotency-key': `${path}-${Math.random()}`,
        ...(isForm ? {} : { 'content-type': 'application/json' }),
      },
      body: isForm ? body : JSON.stringify(body),
    });
    const answer = (await response.json()) as { id: string; secret?: string };
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const call = (marker: string): object => ({
    type: 'call',
    model: 'openai/gpt-6-luna',
    system: `Be short. ${canaries.system}`,
    prompt: `${canaries.prompt} {{ input }} ${marker}`,
    input: canaries.input,
    max_output_tokens: 50,
  });
  const job = await post('/v1/jobs', call(`[[sim:reply=${canaries.answer}]]`));
  // Refusals quote what was sent, time-outs and broken streams leave halves of it.
  for (const fault of [
    'invalid_key',
    'bad_request',
    'content_policy',
    'garbage',
    'truncate',
    'server_error',
  ]) {
    await post('/v1/jobs', call(`[[sim:fault=${fault};times=2]][[sim:reply=${canaries.answer}]]`));
  }
  const endpoint = await post('/v1/webhook_endpoints', { url: `https://example.com/${canaries.hookPath}` });
  const form = new FormData();
  form.append('purpose', 'batch');
  const body = { model: 'cheap', input: `${canaries.prompt} [[sim:reply=${canaries.answer}]]` };
  const line = { custom_id: 'a', method: 'POST', url: '/v1/responses', body };
  form.append('file', new Blob([`${JSON.stringify(line)}\n`]), 'lines.jsonl');
  const file = await post('/v1/files', form);
  const batch = await post('/v1/batches', {
    input_file_id: file.id,
    endpoint: '/v1/responses',
    completion_window: '24h',
  });
  await pause(6_000);
  const owned = {
    '/v1/jobs': job.id,
    '/v1/webhook_endpoints': endpoint.id,
    '/v1/files': file.id,
    '/v1/batches': batch.id,
  };
  return { owned, endpointSecret: endpoint.secret ?? '' };
}
