/** Where undici, the HTTP client inside Node, keeps its default dispatcher (its documented way to share one). */
const GLOBAL_DISPATCHER = Symbol.for('undici.globalDispatcher.1');

type AgentClass = new (options: { headersTimeout: number }) => object;

/**
 * Node's `fetch` without its limit of 300 s until the headers arrive: OpenAI's flex tier and a busy server of one's own
 * queue a request for longer, and a large upload takes longer. Our own clocks end each request. Where Node hides its client
 * the limit stays.
 */
export function patientFetch(): typeof fetch {
  const Agent = findAgentClass();
  if (Agent === null) return globalThis.fetch;
  const dispatcher = new Agent({ headersTimeout: 0 });
  return (input, init) => globalThis.fetch(input, { ...init, dispatcher } as RequestInit);
}

function findAgentClass(): AgentClass | null {
  // Node loads its client when one of its classes is first used.
  new Headers();
  const shared: unknown = Reflect.get(globalThis, GLOBAL_DISPATCHER);
  if (typeof shared !== 'object' || shared === null || shared.constructor.name !== 'Agent') return null;
  return shared.constructor as AgentClass;
}
