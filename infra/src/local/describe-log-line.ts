import { stripVTControlCharacters } from 'node:util';

/** A log line, taken apart for people. */
export interface DescribedLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  /** `HH:MM:SS.mmm` local time, or empty if the line has none. */
  time: string;
  message: string;
  /** `name=value`, short. */
  fields: string[];
  /** Further lines, of a stack trace for example. */
  details: string[];
}

/** Fields that say the same on every line of a process, or that stand elsewhere in the line. */
const hiddenFields = new Set([
  'level',
  'time',
  'msg',
  'message',
  'pid',
  'hostname',
  'name',
  'service',
  'v',
  'version',
  'err',
  'error_stack',
]);
const longestValue = 100;

/** Takes a line of a process apart: pino's JSON, PostgreSQL's and Redis's own formats, or plain text. */
export function describeLogLine(source: string, line: string): DescribedLine {
  const plain = stripVTControlCharacters(line);
  const entry = parseObject(plain);
  if (entry !== null) return describeEntry(entry);
  const text = { time: '', message: plain, fields: [], details: [] };
  if (source === 'postgres') return { ...text, level: postgresLevel(plain) };
  if (source === 'redis') return { ...text, level: redisLevel(plain) };
  return { ...text, level: 'info' };
}

function describeEntry(entry: Record<string, unknown>): DescribedLine {
  const { msg, message, err, time, level } = entry;
  const said = msg ?? message;
  const fields = Object.entries(entry)
    .filter(([name, value]) => !hiddenFields.has(name) && value !== null && value !== undefined)
    .map(([name, value]) => `${name}=${shortValue(value)}`);
  return {
    level: levelOf(level),
    time: timeOf(time),
    message: typeof said === 'string' ? said : '',
    fields,
    details: detailsOf(err),
  };
}

function shortValue(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const short = text.length > longestValue ? `${text.slice(0, longestValue)}…` : text;
  return typeof value === 'string' && /[\s"]/.test(short) ? JSON.stringify(short) : short;
}

/** pino's levels are numbers (30 info, 40 warn, 50 error, 60 fatal) unless a formatter made them names. */
function levelOf(level: unknown): DescribedLine['level'] {
  const names = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 };
  const number = typeof level === 'number' ? level : (names[String(level) as keyof typeof names] ?? 30);
  if (number >= 50) return 'error';
  if (number >= 40) return 'warn';
  return number >= 30 ? 'info' : 'debug';
}

function timeOf(time: unknown): string {
  if (typeof time !== 'number' && typeof time !== 'string') return '';
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

function detailsOf(err: unknown): string[] {
  if (typeof err !== 'object' || err === null) return [];
  const { stack, message } = err as { stack?: unknown; message?: unknown };
  if (typeof stack === 'string') return stack.split('\n');
  return typeof message === 'string' ? [message] : [];
}

function postgresLevel(line: string): DescribedLine['level'] {
  if (/^(PANIC|FATAL):/.test(line)) return 'error';
  if (/^(ERROR|WARNING):/.test(line)) return 'warn';
  return 'debug';
}

/** Redis marks a line `.` debug, `-` verbose, `*` notice, `#` warning, and uses `#` for greetings too. */
function redisLevel(line: string): DescribedLine['level'] {
  const isAdvice = line.includes('overcommit') || line.includes('Transparent Huge Pages');
  return / # .*(warning|error|fail|can't|fatal)/i.test(line) && !isAdvice ? 'warn' : 'debug';
}

/** The line's JSON object, or null if it is anything else. */
export function parseObject(line: string): Record<string, unknown> | null {
  if (!line.startsWith('{')) return null;
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
