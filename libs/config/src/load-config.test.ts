import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from './config.ts';
import { loadConfig } from './load-config.ts';
import { poolOf } from './read-pools.ts';

const required = { DATABASE_URL: 'postgres://x/y', REDIS_URL: 'redis://x' };
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-config-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function problemsOf(environment: Record<string, string>, file?: string): readonly string[] {
  if (file !== undefined) writeFileSync(join(directory, 'millrace.config.yaml'), file);
  try {
    loadConfig(environment, directory);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

describe('loadConfig', () => {
  it('needs nothing but the two addresses, and freezes what it returns', () => {
    const config = loadConfig(required, directory);
    expect(config.setting.MILLRACE_PORT).toBe(8080);
    expect(config.setting.MILLRACE_LEASE).toBe(12_000);
    expect([...config.routes.keys()]).toEqual(['cheap', 'quality']);
    expect(Object.isFrozen(config) && Object.isFrozen(config.setting)).toBe(true);
  });

  it('knows the secret of a provider’s webhooks, by the usual variable or by the one that the file names', () => {
    writeFileSync(
      join(directory, 'millrace.config.yaml'),
      'providers: {second: {kind: openai, webhook_secret_env: SECOND}, openai: {kind: openai}}',
    );
    const secrets = { OPENAI_WEBHOOK_SECRET: 'whsec_a', SECOND: 'whsec_b' };
    const { providers } = loadConfig({ ...required, ...secrets }, directory);
    expect(['openai', 'second', 'anthropic'].map((name) => providers.get(name)?.webhookSecret)).toEqual([
      'whsec_a',
      'whsec_b',
      null,
    ]);
    expect(
      problemsOf(required, 'providers: {anthropic: {kind: anthropic, webhook_secret_env: SECOND}}'),
    ).toEqual(['providers.anthropic.webhook_secret_env: only providers of the kind openai send webhooks']);
  });

  it('names every problem at once, each with its key', () => {
    const problems = problemsOf({ MILLRACE_PORT: '99999', MILLRACE_LEASE: 'soon' });
    expect(problems).toHaveLength(4);
    expect(problems.join('\n')).toMatch(/MILLRACE_PORT="99999": expected between 0 and 65535/);
    expect(problems.join('\n')).toMatch(/MILLRACE_LEASE="soon"/);
    expect(problems).toContain('DATABASE_URL is not set');
  });

  it('knows what an unknown name was meant to be', () => {
    expect(problemsOf({ ...required, MILLRACE_PROT: '1' })).toEqual([
      'MILLRACE_PROT is not a setting; did you mean MILLRACE_PORT?',
    ]);
  });

  it('does not repeat addresses and keys, which carry secrets', () => {
    const [problem] = problemsOf({ ...required, DATABASE_URL: 'mysql://user:hunter2@x' });
    expect(problem).toContain('DATABASE_URL');
    expect(problem).not.toContain('hunter2');
  });

  it('wants the keys of a blob store in S3, and an address that it understands', () => {
    expect(problemsOf({ ...required, MILLRACE_BLOB_STORE: 's3://bucket/prefix' })).toEqual([
      'MILLRACE_BLOB_S3_ACCESS_KEY_ID is not set, and MILLRACE_BLOB_STORE is in S3',
      'MILLRACE_BLOB_S3_SECRET_ACCESS_KEY is not set, and MILLRACE_BLOB_STORE is in S3',
    ]);
    expect(problemsOf({ ...required, MILLRACE_BLOB_STORE: '/var/blobs' })[0]).toMatch(/MILLRACE_BLOB_STORE/);
    const keys = { MILLRACE_BLOB_S3_ACCESS_KEY_ID: 'id', MILLRACE_BLOB_S3_SECRET_ACCESS_KEY: 'secret' };
    expect(problemsOf({ ...required, ...keys, MILLRACE_BLOB_STORE: 's3://bucket' })).toEqual([]);
  });

  it('refuses a retention that would free idempotency keys within a day', () => {
    expect(problemsOf({ ...required, MILLRACE_JOB_RETENTION: '2h' })[0]).toMatch(
      /MILLRACE_JOB_RETENTION: at least 24h/,
    );
  });

  it('reads providers, routes and the retry policy from the file', () => {
    writeFileSync(
      join(directory, 'millrace.config.yaml'),
      `providers:
  local: {kind: openai_compatible, base_url: "http://localhost:11434/v1"}
  second: {kind: openai, api_key_env: SECOND_KEY, min_spacing_ms: 25}
routes:
  cheap: {targets: [{target: local/llama}], fallback: [second/gpt-6-luna]}
retry: {max_attempts: 3, base_delay: 2s}
`,
    );
    const config = loadConfig({ ...required, SECOND_KEY: 'sk-2' }, directory);
    expect(config.providers.get('local')).toMatchObject({
      kind: 'openai_compatible',
      apiKey: 'none',
      minSpacingMs: 0,
    });
    expect(config.providers.get('second')).toMatchObject({ apiKey: 'sk-2', minSpacingMs: 25 });
    expect(config.routes.get('cheap')).toEqual({
      targets: [{ target: 'local/llama', weight: 1 }],
      fallback: ['second/gpt-6-luna'],
      degraded: { kind: 'wait' },
    });
    expect(config.retry).toMatchObject({ maxAttempts: 3, baseDelayMs: 2_000 });
  });

  it('gives each provider a pool, and the targets that a pool names to that pool', () => {
    writeFileSync(
      join(directory, 'millrace.config.yaml'),
      `pools:
  luna: {targets: ["openai/gpt-6-luna*"], requests_per_minute: 600, tokens_per_minute: 1000, burst: 2s}
  anthropic: {input_tokens_per_minute: 5, max_concurrent_calls: 3, background_share: 0.5, high_use_share: 0.6}
`,
    );
    const config = loadConfig(required, directory);
    expect([...config.pools.keys()]).toEqual(['luna', 'anthropic', 'openai']);
    expect(config.pools.get('luna')).toEqual({
      name: 'luna',
      provider: 'openai',
      targets: ['openai/gpt-6-luna*'],
      limits: { requests: 600, tokens: 1_000, burstMs: 2_000 },
    });
    expect(config.pools.get('anthropic')?.limits).toEqual({
      inputTokens: 5,
      concurrency: 3,
      backgroundShare: 0.5,
      highUseShare: 0.6,
    });
    const pools = ['openai/gpt-6-luna-2026', 'openai/gpt-6.1-sol', 'anthropic/any', 'gone/any'];
    expect(pools.map((target) => poolOf(config.pools, target))).toEqual([
      'luna',
      'openai',
      'anthropic',
      'gone',
    ]);
  });

  it('refuses pools that cannot be one limit group', () => {
    const problems = problemsOf(
      required,
      `pools:
  mixed: {targets: [openai/a, anthropic/b]}
  lost: {requests_per_minute: 1}
  unknown: {targets: [nobody/a]}
  anthropic: {targets: [openai/a]}
  double: {targets: [openai/a], tokens_per_minute: 1, input_tokens_per_minute: 1, burst: soon}
`,
    );
    expect(problems).toEqual([
      'pools.mixed: its targets name several providers: openai, anthropic',
      'pools.lost: it has no targets and is not named after a provider',
      'pools.unknown: nobody/a names the provider "nobody", which is not configured',
      'pools.anthropic: it is named after the provider "anthropic", but its targets are of "openai"',
      'pools.double.burst: "soon" is not a duration',
      'pools.double: tokens_per_minute counts input and output together; name it or the two apart',
    ]);
  });

  it('refuses shares of a limit that are none, with the path', () => {
    const text = 'pools: {openai: {requests_per_minute: 1, high_use_share: 80, background_share: 0}}';
    const problems = problemsOf(required, text);
    expect(problems).toHaveLength(2);
    expect(problems[0]).toMatch(/pools\.openai\.background_share: .*>=0\.01/);
    expect(problems[1]).toMatch(/pools\.openai\.high_use_share: .*<=1/);
  });

  it('refuses unknown keys, unknown providers and broken YAML, with the path', () => {
    expect(problemsOf(required, 'retry: {max_atempts: 3}')[0]).toMatch(
      /retry: Unrecognized key: "max_atempts"/,
    );
    expect(problemsOf(required, 'routes: {cheap: {targets: [{target: nobody/x}]}}')[0]).toMatch(/nobody/);
    expect(problemsOf(required, 'routes: [')).toHaveLength(1);
  });
});
