import { setMaxListeners } from 'node:events';
import { pipeline, type Duplex, type Transform } from 'node:stream';

/**
 * Joins the two halves of a linked channel until both are over, each direction ending on its own, at the pace of the
 * slower side. Resolves to who ended it. `toViewer` changes what the server says; by default it passes verbatim.
 */
export async function joinHalves(
  viewer: Duplex,
  server: Duplex,
  toViewer?: Transform,
): Promise<'viewer' | 'server'> {
  const { promise, resolve } = Promise.withResolvers<'viewer' | 'server'>();
  const onViewer = (): void => resolve('viewer');
  const onServer = (): void => resolve('server');
  // Being in two pipelines takes more listeners than the number that warns of a leak.
  setMaxListeners(30, viewer, server);
  for (const sign of ['end', 'error', 'close']) {
    viewer.once(sign, onViewer);
    server.once(sign, onServer);
  }
  await Promise.all([
    flow([viewer, server]),
    flow(toViewer === undefined ? [server, viewer] : [server, toViewer, viewer]),
  ]);
  return await promise;
}

/** Resolves when all has flowed; when one breaks, all are destroyed: how is of no interest. */
async function flow(streams: Duplex[]): Promise<void> {
  return await new Promise((resolve) => {
    pipeline(streams, () => resolve());
  });
}
