import type { Job, MillraceClient } from './client.ts';

/** What the provider has billed, by its own word. */
interface ProviderBill {
  lanes: Record<string, { costUsd: string; standardUsd: string }>;
}

/** The sums of the bill; amounts are in US dollars. */
export interface Bill {
  /** What Millrace has booked on the jobs, and what the provider has billed. */
  bookedUsd: number;
  billedUsd: number;
  /** What the same tokens cost in realtime. */
  realtimeUsd: number;
}

/** Prints by job how its calls were served and what they cost, then the provider's bill beside the price of realtime. */
export async function showBill(
  client: MillraceClient,
  jobs: readonly { label: string; job: Job }[],
  simulatorUrl: string,
): Promise<Bill> {
  for (const { label, job } of jobs) {
    const steps = await client.steps(job.id);
    console.log(`  ${label.padEnd(8)} ${job.status}, ${job.usage.calls} calls, $${job.cost_usd}`);
    for (const [lane, count] of countBy(steps, ({ lane, lane_reason: reason }) => `${lane} (${reason})`)) {
      console.log(`           ${String(count).padStart(5)} × ${lane}`);
    }
  }
  const { lanes } = (await (await fetch(`${simulatorUrl}/_simulator/bill`)).json()) as ProviderBill;
  let billedUsd = 0;
  let realtimeUsd = 0;
  console.log(`\n  ${'the provider’s bill'.padEnd(24)}${'billed'.padStart(12)}${'in realtime'.padStart(14)}`);
  for (const [lane, { costUsd, standardUsd }] of Object.entries(lanes)) {
    billedUsd += Number(costUsd);
    realtimeUsd += Number(standardUsd);
    console.log(`  ${lane.padEnd(24)}${dollars(Number(costUsd))}${dollars(Number(standardUsd), 14)}`);
  }
  const share = billedUsd / realtimeUsd;
  console.log(
    `  ${'together'.padEnd(24)}${dollars(billedUsd)}${dollars(realtimeUsd, 14)}   ${share.toFixed(3)} of realtime`,
  );
  return { bookedUsd: jobs.reduce((sum, { job }) => sum + Number(job.cost_usd), 0), billedUsd, realtimeUsd };
}

/** How often each text comes up, the most frequent first. */
export function countBy<T>(all: readonly T[], by: (each: T) => string): [string, number][] {
  const groups = [...Map.groupBy(all, by)].map(([name, group]): [string, number] => [name, group.length]);
  return groups.sort(([, a], [, b]) => b - a);
}

function dollars(amount: number, width = 12): string {
  return `$${amount.toFixed(4)}`.padStart(width);
}
