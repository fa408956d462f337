const PATIENCE_MS = 3_000;

/**
 * Asks the API how many worker processes there should be, as KEDA does on Kubernetes; null when it does not answer, or when
 * no scheduler plans.
 */
export async function readWantedWorkers(apiUrl: string, key: string): Promise<number | null> {
  const response = await fetch(`${apiUrl}/internal/scaling`, {
    headers: { authorization: `Bearer ${key}` },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!response.ok) return null;
  const { wanted_processes: wanted } = (await response.json()) as { wanted_processes?: unknown };
  return typeof wanted === 'number' ? wanted : null;
}
