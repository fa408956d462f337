import { createBullBoard } from '@bull-board/api';
import { ExpressAdapter } from '@bull-board/express';
import { createBoardAdapters } from '@millrace/transport';
import type { Producer } from '@millrace/transport';
import type { Express, RequestHandler } from 'express';

export const BOARD_PATH = '/admin/queues';

/** Bull Board over all queues, to be mounted at {@link BOARD_PATH} behind a login. */
export function boardRoutes(options: { producer: Producer; readOnly: boolean }): RequestHandler {
  const server = new ExpressAdapter();
  server.setBasePath(BOARD_PATH);
  createBullBoard({
    queues: createBoardAdapters(options.producer, { readOnly: options.readOnly }),
    serverAdapter: server,
    options: {
      uiConfig: {
        boardTitle: 'Millrace',
        // The default asks another host for an image.
        boardLogo: { path: '' },
        hideRedisDetails: true,
      },
    },
  });
  const app = server.getRouter() as Express;
  app.disable('x-powered-by');
  return app;
}
