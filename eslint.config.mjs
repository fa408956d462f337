import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** Who may import whom: the table of ARCHITECTURE.md, as lint. */
const lib = (name, mayImport, packages) => ({
  sourceTag: `lib:${name}`,
  onlyDependOnLibsWithTags: mayImport.map((each) => `lib:${each}`),
  allowedExternalImports: packages,
});

export default tseslint.config(
  { ignores: ['node_modules', '.nx', '**/*.sql', 'docs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          allow: [],
          allowCircularSelfDependency: true,
          depConstraints: [
            lib('contracts', [], ['zod']),
            lib('faults', [], []),
            lib('redis', [], ['ioredis']),
            lib('config', ['contracts'], ['yaml', 'zod', 'fastest-levenshtein']),
            lib('telemetry', ['contracts'], ['pino', 'prom-client']),
            lib('ledger', ['faults', 'contracts'], ['pg', 'node-pg-migrate', 'zod']),
            lib(
              'providers',
              ['faults', 'contracts'],
              [
                'openai',
                '@anthropic-ai/sdk',
                'bottleneck',
                'gpt-tokenizer/*',
                'yaml',
                'zod',
                'openai/*',
                '@anthropic-ai/sdk/*',
              ],
            ),
            lib('calls', ['faults', 'contracts', 'config', 'ledger', 'plans', 'providers'], []),
            lib('blobs', ['contracts'], ['aws4fetch']),
            lib('plans', ['contracts'], ['ajv', 'ajv/*', 'ajv-formats', 'gpt-tokenizer/*', 'liquidjs']),
            lib(
              'transport',
              ['faults', 'contracts', 'redis', 'telemetry'],
              ['bullmq', 'ioredis', '@bull-board/api', '@bull-board/api/*', 'zod'],
            ),
            lib('capacity', ['faults', 'contracts', 'redis', 'telemetry'], ['ioredis']),
            {
              sourceTag: 'app:api',
              onlyDependOnLibsWithTags: [
                'contracts',
                'blobs',
                'capacity',
                'faults',
                'config',
                'ledger',
                'plans',
                'providers',
                'redis',
                'telemetry',
                'transport',
              ].map((l) => `lib:${l}`),
              bannedExternalImports: ['bullmq', 'pg', 'openai', '@anthropic-ai/sdk'],
            },
            {
              sourceTag: 'app:worker',
              onlyDependOnLibsWithTags: ['type:lib'],
              bannedExternalImports: [
                'bullmq',
                'pg',
                'openai',
                '@anthropic-ai/sdk',
                'express',
                '@bull-board/*',
              ],
            },
            {
              sourceTag: 'app:scheduler',
              onlyDependOnLibsWithTags: ['type:lib'],
              bannedExternalImports: [
                'bullmq',
                'pg',
                'openai',
                '@anthropic-ai/sdk',
                'express',
                '@bull-board/*',
              ],
            },
            {
              sourceTag: 'type:infra',
              onlyDependOnLibsWithTags: ['type:lib', 'type:infra', 'test:support', 'test:simulator'],
            },
            { sourceTag: 'test:simulator', onlyDependOnLibsWithTags: [] },
            { sourceTag: 'type:example', onlyDependOnLibsWithTags: ['type:infra'] },
            {
              sourceTag: 'type:test',
              onlyDependOnLibsWithTags: ['type:lib', 'type:infra', 'type:test', 'type:app'],
            },
          ],
        },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-else-return': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Closed sets are `as const` objects and their unions.' },
        { selector: 'ExportAllDeclaration', message: 'Doors re-export by name.' },
      ],
    },
  },
  {
    files: ['apps/api/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [
            {
              name: '@millrace/plans',
              allowImportNames: ['checkPlan', 'createOutputValidators', 'OutputValidators'],
              message: 'The API checks plans; it never runs them.',
            },
            {
              name: '@millrace/providers',
              allowImportNames: ['verifyProviderWebhook'],
              message: 'The API hears from providers; it never calls one.',
            },
          ],
        },
      ],
    },
  },
  {
    files: ['apps/**/*.ts', 'libs/**/*.ts'],
    ignores: ['libs/config/**', 'libs/faults/src/armed.ts', '**/*.test.ts', '**/testing/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only libs/config reads the environment.' },
      ],
    },
  },
  {
    files: ['**/*.test.ts', '**/testing/**', 'test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // A lib's test may use the servers and the simulator, which use libs.
      '@nx/enforce-module-boundaries': 'off',
    },
  },
  { files: ['**/*.mjs'], ...tseslint.configs.disableTypeChecked },
  prettier,
);
