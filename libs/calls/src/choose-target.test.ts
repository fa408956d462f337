import { describe, expect, it } from 'vitest';
import { chooseTarget, splitTarget } from './choose-target.ts';

const routes = new Map([
  [
    'cheap',
    {
      targets: [
        { target: 'openai/a', weight: 3 },
        { target: 'anthropic/b', weight: 1 },
      ],
      fallback: ['local/c', 'openai/d'],
    },
  ],
]);
const all = () => true;
const cheap = { route: 'cheap', model: null };

describe('chooseTarget', () => {
  it('draws by weight', () => {
    expect(chooseTarget(cheap, routes, [], all, 0.74)).toBe('openai/a');
    expect(chooseTarget(cheap, routes, [], all, 0.76)).toBe('anthropic/b');
  });
  it('goes through what is left of the targets, then through the fallbacks in order', () => {
    expect(chooseTarget(cheap, routes, ['openai/a'], all, 0)).toBe('anthropic/b');
    expect(chooseTarget(cheap, routes, ['openai/a', 'anthropic/b'], all, 0)).toBe('local/c');
    expect(chooseTarget(cheap, routes, ['openai/a', 'anthropic/b', 'local/c'], all, 0)).toBe('openai/d');
    expect(
      chooseTarget(cheap, routes, ['openai/a', 'anthropic/b', 'local/c', 'openai/d'], all, 0),
    ).toBeNull();
  });
  it('passes over targets whose provider cannot be called', () => {
    expect(chooseTarget(cheap, routes, [], (target) => target.startsWith('local/'), 0)).toBe('local/c');
  });
  it('has one target for a model, and none after that was given up', () => {
    expect(chooseTarget({ route: null, model: 'openai/x' }, routes, [], all, 0)).toBe('openai/x');
    expect(chooseTarget({ route: null, model: 'openai/x' }, routes, ['openai/x'], all, 0)).toBeNull();
  });
  it('knows models with slashes in their names', () => {
    expect(splitTarget('local/org/model')).toEqual({ provider: 'local', model: 'org/model' });
  });
});
