import { announcedUrl } from './announced-url.ts';
import { repositoryRoot, type Entries } from './entries.ts';
import { readWantedWorkers } from './read-wanted-workers.ts';
import { createWorkerScaler, type WorkerRange } from './scale-workers.ts';
import type { StackLogLine } from './stack-log-line.ts';
import type { Stoppable } from './stop-in-order.ts';
import { superviseProcess, type SupervisedProcess } from './supervise-process.ts';
import { waitUntilApiReady } from './wait-until-api-ready.ts';

const startTimeoutMs = 60_000;

/** An app that runs, and where it listens: the API for everybody, the others for `/livez`, `/readyz`, `/metrics`. */
export interface RunningApp extends SupervisedProcess {
  url: string;
}

interface AppsRequest {
  entries: Entries;
  host?: string;
  port: number;
  workers: WorkerRange;
  environment: NodeJS.ProcessEnv;
  bootstrapKey: string;
  drainMs: number;
  stopGraceMs: number;
  healthyAfterMs?: number;
  signal: AbortSignal;
  onLog: (line: StackLogLine) => void;
  notice: (line: string) => void;
  started: Stoppable[];
}

/**
 * Starts scheduler, the least number of workers and API, and resolves when all of them listen and the API answers that it is
 * ready. From then on workers come and go with what is wanted; `leaving` are those that were taken down and still have calls.
 */
export async function startApps(
  request: AppsRequest,
): Promise<{ apiUrl: string; processes: () => RunningApp[]; leaving: () => readonly RunningApp[] }> {
  // Only the API learns the first key.
  const { MILLRACE_BOOTSTRAP_KEY: _key, ...inherited } = request.environment;
  const common = { ...inherited, MILLRACE_HOST: request.host ?? '127.0.0.1' };
  const forApi = { ...common, MILLRACE_BOOTSTRAP_KEY: request.bootstrapKey };
  const workers = Array.from({ length: request.workers.least }, (_each, index) => `worker-${index + 1}`);

  const givenUp = Promise.withResolvers<never>();
  // It is waited for only at the end of the start.
  givenUp.promise.catch(() => undefined);

  const starting = await Promise.all([
    startApp(request, givenUp.reject, {
      app: 'api',
      name: 'api',
      environment: forApi,
      portName: 'MILLRACE_PORT',
      port: request.port,
    }),
    ...[
      { app: 'scheduler' as const, name: 'scheduler' },
      ...workers.map((name) => ({ app: 'worker' as const, name })),
    ].map((app) =>
      startApp(request, givenUp.reject, {
        ...app,
        environment: common,
        portName: 'MILLRACE_OPERATIONS_PORT',
        port: 0,
      }),
    ),
  ]);
  const processes = await Promise.all(starting.map((app) => app.listening));
  const apiUrl = processes[0]?.url ?? '';
  await Promise.race([waitUntilApiReady(apiUrl, startTimeoutMs, request.signal), givenUp.promise]);
  for (const app of starting) app.markReady();

  const scaler = createWorkerScaler({
    range: request.workers,
    readWanted: () => readWantedWorkers(apiUrl, request.bootstrapKey),
    startWorker: (number, stopping) => {
      const signal = AbortSignal.any([request.signal, stopping]);
      // The scaler stops those that it starts.
      return startOneMore({ ...request, signal, started: [] }, common, `worker-${number}`);
    },
    drainMs: request.drainMs,
    stopGraceMs: request.stopGraceMs,
    notice: request.notice,
  });
  if (request.workers.most > request.workers.least) {
    request.started.push(scaler);
    scaler.start();
  }
  return { apiUrl, processes: () => [...processes, ...scaler.workers], leaving: () => scaler.leaving };
}

/** A worker that comes later: without it the stack goes on, so a start that fails is only told. */
async function startOneMore(
  request: AppsRequest,
  environment: NodeJS.ProcessEnv,
  name: string,
): Promise<RunningApp | null> {
  const giveUp = (error: Error): void => request.notice(`${name} could not be started: ${error.message}`);
  const app = { app: 'worker' as const, name, environment, portName: 'MILLRACE_OPERATIONS_PORT', port: 0 };
  const { supervised, listening, markReady } = await startApp(request, giveUp, app);
  try {
    const running = await listening;
    markReady();
    return running;
  } catch (error) {
    request.notice(`${name} does not listen: ${String(error)}`);
    await supervised.stop(request.stopGraceMs);
    return null;
  }
}

async function startApp(
  request: AppsRequest,
  giveUp: (error: Error) => void,
  app: {
    app: 'api' | 'worker' | 'scheduler';
    name: string;
    environment: NodeJS.ProcessEnv;
    portName: string;
    port: number;
  },
): Promise<{ supervised: SupervisedProcess; listening: Promise<RunningApp>; markReady: () => void }> {
  const announcement = announcedUrl(app.name, startTimeoutMs, request.signal);
  let port = String(app.port);
  const supervised = await superviseProcess({
    name: app.name,
    entry: request.entries[app.app],
    workingDirectory: repositoryRoot,
    environment: () => ({ ...app.environment, [app.portName]: port }),
    onLine: (line) => {
      announcement.take(line);
      request.onLog({ source: app.name, line });
    },
    onNotice: request.notice,
    ...(request.healthyAfterMs === undefined ? {} : { healthyAfterMs: request.healthyAfterMs }),
    onGiveUp: (error) => {
      announcement.giveUp(error);
      giveUp(error);
    },
  });
  request.started.push({ stop: () => supervised.stop(request.stopGraceMs), together: 'apps' });
  const listening = announcement.url.then((url) => {
    // A port that was found at the first start is kept at the next.
    ({ port } = new URL(url));
    return Object.assign(supervised, { url });
  });
  // Whoever waits first hears of it; the others' rejections are the same news.
  listening.catch(() => undefined);
  return { supervised, listening, markReady: supervised.markReady };
}
