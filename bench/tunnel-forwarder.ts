/** `Cluster.forward` behind a local listener, in a process of its own, so that its CPU time is its own. */
import net from 'node:net';
import { joinHalves } from '../src/lib/console/bridge/join.ts';
import { loadKubeconfig, openCluster } from '../src/lib/cluster/index.ts';

const [kubeconfig = '', pod = '', port = ''] = process.argv.slice(2);
const cluster = openCluster(loadKubeconfig({ env: {}, file: kubeconfig }), {
  userAgent: 'bench',
  timeoutMs: 30_000,
});
const { signal } = new AbortController();

async function carry(socket: net.Socket): Promise<void> {
  socket.on('error', () => {});
  const stream = await cluster.forward({ namespace: 'default', name: pod }, Number(port), { signal });
  stream.on('error', () => socket.destroy());
  // As the bridge does once a channel is linked.
  await joinHalves(socket, stream);
}

const server = net.createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
  carry(socket).catch((error: unknown) => {
    console.error(error);
    socket.destroy();
  });
});
server.listen(0, '127.0.0.1', () => console.log(`Forwarding from ${JSON.stringify(server.address())}`));
