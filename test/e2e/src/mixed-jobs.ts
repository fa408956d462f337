/** Requests of every kind, the same for the same number. Prompts differ, so that their calls can be told apart. */
export function mixedJob(index: number): Record<string, unknown> {
  const call = (text: string, more: Record<string, unknown> = {}) => ({
    type: 'call',
    route: index % 3 === 0 ? 'quality' : 'cheap',
    prompt: `${text} (job ${index}) [[sim:reply=answer ${index}]]`,
    max_output_tokens: 50,
    ...more,
  });
  switch (index % 5) {
    case 0:
      return call('One call', { stream: true });
    case 1:
      return {
        type: 'chain',
        steps: [
          { name: 'first', ...call('First') },
          { name: 'second', ...call('Second after {{ steps.first }}') },
          { name: 'third', ...call('Third after {{ steps.second }}') },
        ],
      };
    case 2:
      return {
        type: 'map_reduce',
        items: Array.from({ length: 6 }, (_, item) => `item ${item}`),
        map: call('Note on {{ item }}'),
        reduce: call('Combine {{ items | size }} notes'),
      };
    case 3:
      return { type: 'fan_out', branches: { a: call('Branch a'), b: call('Branch b') }, join: 'all' };
    default:
      return {
        type: 'router',
        classify: { ...call('Which?'), prompt: `Which? (job ${index}) [[sim:reply=left]]` },
        routes: { left: call('Went left'), right: call('Went right') },
      };
  }
}
