import { defineConfig } from 'vitest/config';

/** One PostgreSQL and one Redis serve the whole run (test/support/src/global-setup.ts). */
export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.nx/**', '**/.millrace/**'],
    globalSetup: ['test/support/src/global-setup.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // The machine that checks is shared and noisy, and some tests measure time. vitest prints what needed a second try.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
