export { createTestDatabase, type TestDatabase } from './create-test-database.ts';
export { createTestRedis, type TestRedis } from './create-test-redis.ts';
export { quickestMs } from './quickest-ms.ts';
export { spawnApp, type SpawnedApp } from './spawn-app.ts';
export { waitFor } from './wait-for.ts';
export { withTimeout } from './with-timeout.ts';
