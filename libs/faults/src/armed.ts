export { crashPoint, hasDefect } from './inert.ts';
