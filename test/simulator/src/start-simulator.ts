import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createControl } from './control/control.ts';
import { openExchange, endExchange } from './http/exchange.ts';
import { createRouteTable, dialectOf, type RouteTable } from './http/routes.ts';
import { sendError } from './http/send-answer.ts';
import { vendorError } from './http/vendor-error.ts';
import type { JournalEntry } from './journal.ts';
import { providerRoutes } from './provider-routes.ts';
import { createSimulator, type Simulator } from './simulator.ts';
import { defaultConfig, patchConfig, type ConfigPatch } from './simulator-config.ts';

export interface SimulatorOptions {
  /** 0 or absent: a free port. */
  readonly port?: number;
  /** Path of the append-only JSONL journal; absent: memory only. */
  readonly journalPath?: string;
  readonly config?: ConfigPatch;
}

export interface RunningSimulator {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  journal(): readonly JournalEntry[];
  /** Lays a patch over the configuration; TypeError on an unknown setting. */
  configure(patch: ConfigPatch): void;
  /** Moves the clock of batches and files; resolves when all batches are where it is. */
  advance(durationMs: number): Promise<void>;
  /** Cuts what is open and frees the port; may be called twice. */
  stop(): Promise<void>;
}

/** Starts a simulator in this process, on the loopback interface only. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<RunningSimulator> {
  const config = patchConfig(defaultConfig(), options.config ?? {});
  const simulator = createSimulator(config, options.journalPath ?? null);
  const table = createRouteTable(providerRoutes(simulator));
  const control = createControl(simulator);
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const served =
      request.url?.startsWith('/_simulator') === true
        ? control(request, response)
        : serve(simulator, table, request, response);
    // A fault of the simulator itself must be seen, not look like a fault that was asked for.
    served.catch((error: unknown) => {
      process.stderr.write(
        `simulator: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
      response.destroy();
    });
  });
  const port = await listen(server, options.port ?? 0);
  let stopping: Promise<void> | null = null;
  return {
    url: `http://127.0.0.1:${port}`,
    journal: () => simulator.journal.entries(),
    configure: (patch) => {
      simulator.configure(patch);
    },
    async advance(durationMs) {
      simulator.clock.advance(durationMs);
      await simulator.batches.settle();
    },
    stop() {
      stopping ??= close(server).then(async () => {
        await simulator.batches.stop();
        simulator.scratch.remove();
        simulator.journal.close();
      });
      return stopping;
    },
  };
}

async function serve(
  simulator: Simulator,
  table: RouteTable,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://simulator');
  const place = dialectOf(url.pathname);
  const found = place === null ? null : table.find(place.dialect, request.method ?? 'GET', place.rest);
  const exchange = openExchange(simulator, request, response, {
    dialect: place?.dialect ?? 'openai',
    path: place?.rest ?? url.pathname,
    parameters: found?.parameters ?? [],
    query: url.searchParams,
    baseUrl: `http://${request.headers.host ?? '127.0.0.1'}${place?.prefix ?? ''}`,
  });
  if (found === null) {
    request.resume();
    const message = `Invalid URL (${request.method ?? 'GET'} ${url.pathname})`;
    const type = exchange.dialect === 'openai' ? 'invalid_request_error' : 'not_found_error';
    sendError(simulator, exchange, vendorError(404, type, message));
    return;
  }
  try {
    await found.route.serve(exchange);
  } finally {
    endExchange(simulator, exchange, { aborted: response.destroyed });
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}
