/**
 * Finds the programs of a real API server (kube-apiserver, etcd, kubectl, and tools/kubernetes/kubelet) for the tests and
 * for `vmop sandbox start --api kube-apiserver`: in KUBEBUILDER_ASSETS, else as they were built on this machine; builds
 * what is missing, minutes the first time. Prints their folders.
 */
import path from 'node:path';
import { kubeBinaries } from './kube-binaries/build.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const found = await kubeBinaries({ env: process.env, say }).catch((error: unknown) => {
  say(`no kube-apiserver: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
const { kubeApiserver, etcd, kubectl, ...rest } = found;
const files = [kubeApiserver, etcd, kubectl];
if (rest.kubelet === undefined) say(rest.noKubelet);
else files.push(rest.kubelet);
for (const folder of new Set(files.map((file) => path.dirname(file)))) process.stdout.write(`${folder}\n`);
