import { styleText } from 'node:util';
import { describeLogLine, parseObject, type DescribedLine } from './describe-log-line.ts';
import type { StackLogLine } from './stack-log-line.ts';

/** How the lines of all processes are shown: for people, or as they are, one JSON object a line. */
interface LogAppearance {
  format: 'pretty' | 'json';
  colours: boolean;
}

const sourceColours = {
  api: 'green',
  worker: 'cyan',
  scheduler: 'magenta',
  simulator: 'yellow',
  postgres: 'blue',
  redis: 'red',
  local: 'bold',
} as const;
const levelColours = { debug: 'gray', info: null, warn: 'yellow', error: 'red' } as const;
const nameWidth = 10;

/** Turns one line of one process into the text to print, with a line feed; empty for what people need not see. */
export function printLogLine(
  { source, line }: StackLogLine,
  { format, colours }: LogAppearance,
  now: () => Date,
): string {
  if (format === 'json') return `${asJson(source, line, now)}\n`;
  const described = describeLogLine(source, line);
  // PostgreSQL and Redis tell at length of their start and stop.
  const isServer = source === 'postgres' || source === 'redis';
  if (isServer && described.level === 'debug') return '';
  return pretty(source, described, colours);
}

function pretty(source: string, described: DescribedLine, colours: boolean): string {
  // Ordinary text keeps the terminal's own colour: no other is readable on every background.
  const paint = (style: Parameters<typeof styleText>[0] | null, text: string): string =>
    colours && style !== null ? styleText(style, text, { validateStream: false }) : text;
  const kind = source.replace(/-\d+$/, '') as keyof typeof sourceColours;
  const name = paint(sourceColours[kind] ?? null, source.padEnd(nameWidth));
  const colour = levelColours[described.level];
  const level = described.level === 'info' ? '' : paint(colour, `${described.level.toUpperCase()} `);
  const time = described.time === '' ? '' : paint('gray', `${described.time} `);
  const message = paint(colour, described.message);
  const fields = described.fields.length === 0 ? '' : ` ${paint('gray', described.fields.join(' '))}`;
  const details = described.details.map((detail) => `${name}   ${paint(colour, detail)}\n`).join('');
  return `${name} ${time}${level}${message}${fields}\n${details}`;
}

/** What is not JSON yet is wrapped the way pino would write it. */
function asJson(source: string, line: string, now: () => Date): string {
  if (parseObject(line) !== null) return line;
  const { level, message } = describeLogLine(source, line);
  const number = { debug: 20, info: 30, warn: 40, error: 50 }[level];
  return JSON.stringify({ level: number, time: now().getTime(), service: source, msg: message });
}
