import { finished, pipeline, type Duplex, type Transform } from 'node:stream';

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
  const unwatch = [
    finished(viewer, { writable: false }, () => resolve('viewer')),
    finished(server, { writable: false }, () => resolve('server')),
  ];
  await Promise.all([
    flow([viewer, server]),
    flow(toViewer === undefined ? [server, viewer] : [server, toViewer, viewer]),
  ]);
  for (const stop of unwatch) stop();
  return await promise;
}

/** Resolves when all has flowed; when one breaks, all are destroyed: how is of no interest. */
async function flow(streams: Duplex[]): Promise<void> {
  return await new Promise((resolve) => {
    pipeline(streams, () => resolve());
  });
}
