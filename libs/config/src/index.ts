export { ConfigError } from './config.ts';
export type { Config, ProviderConfig, RetryPolicy, RouteConfig } from './config.ts';
export { configFileSchema } from './config-file.ts';
export type { ConfigFile } from './config-file.ts';
export { loadConfig, loadConfigOrExit } from './load-config.ts';
export { readSettings } from './read-settings.ts';
export type { Environment } from './read-settings.ts';
export { settings } from './settings.ts';
export type { Setting, SettingName, SettingValue } from './settings.ts';
