/**
 * Builds the programs of a real API server (kube-apiserver, etcd, kubectl, and tools/kubernetes/kubelet) for the tests
 * and for `vmop sandbox start --api kube-apiserver`, unless this machine has them; prints their folder. Minutes the
 * first time.
 */
import path from 'node:path';
import { buildKubeBinaries } from './kube-binaries/build.ts';

const { kubeApiserver } = await buildKubeBinaries({
  env: process.env,
  say: (line) => void process.stderr.write(`${line}\n`),
});
process.stdout.write(`${path.dirname(kubeApiserver)}\n`);
