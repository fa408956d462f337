import { defineConfig } from 'vitest/config';

/** One PostgreSQL and one Redis serve the whole run (test/support/src/global-setup.ts). */
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.nx/**', '**/.millrace/**'],
    globalSetup: ['test/support/src/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
