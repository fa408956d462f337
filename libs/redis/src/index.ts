export { closeRedis, connectRedis } from './connect-redis.ts';
export type { RedisOptions, RedisRole } from './connect-redis.ts';
export { keyNames } from './key-names.ts';
export type { KeyNames } from './key-names.ts';
