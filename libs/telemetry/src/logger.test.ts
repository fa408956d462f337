import { describe, expect, it } from 'vitest';
import { announce } from './announce.ts';
import { createLogger } from './logger.ts';

function capture(level = 'info') {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    app: 'test',
    level,
    destination: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  });
  return { log, lines };
}

describe('the logger', () => {
  it('lets only named fields through and says what it held back', () => {
    const { log, lines } = capture();
    log.info({ job: 'job_1', prompt: 'secret words', api_key: 'sk-1' }, 'attempt');
    expect(lines[0]).toMatchObject({
      job: 'job_1',
      withheld: ['prompt', 'api_key'],
      msg: 'attempt',
      level: 'info',
    });
    expect(JSON.stringify(lines)).not.toMatch(/secret words|sk-1/);
  });

  it('keeps what libraries hang on errors out, and their causes in', () => {
    const { log, lines } = capture();
    const error = Object.assign(new Error('it broke', { cause: new TypeError('inner') }), {
      code: 'E1',
      request: { body: 'secret words' },
    });
    log.error({ err: error }, 'trouble');
    expect(lines[0]).toMatchObject({
      err: { type: 'Error', message: 'it broke', code: 'E1', cause: { type: 'TypeError' } },
    });
    expect(JSON.stringify(lines)).not.toContain('secret words');
  });

  it('says where a process listens even when it is quiet', () => {
    const { log, lines } = capture('error');
    log.info('not this');
    announce(log, { url: 'http://x' }, 'listening');
    expect(lines.map((line) => line['msg'])).toEqual(['listening']);
  });
});
