import { certFile, keyFile, PKI, publicKeyFile } from './certificates.ts';

/** Sockets in the API server's own folder: nobody else can reach etcd, and it takes no port. */
const ETCD = 'unix://etcd:1';
const ETCD_PEERS = 'unix://etcd-peers:1';
export const TOKEN_FILE = 'tokens.csv';

export interface EtcdOptions {
  /** Whether the state has to survive a crash of the machine. */
  durable: boolean;
}

/** For a working directory that is the API server's folder, as all arguments here. */
export function etcdArguments({ durable }: EtcdOptions): string[] {
  return [
    '--data-dir=etcd',
    '--log-level=warn',
    `--listen-client-urls=${ETCD}`,
    `--advertise-client-urls=${ETCD}`,
    `--listen-peer-urls=${ETCD_PEERS}`,
    `--initial-advertise-peer-urls=${ETCD_PEERS}`,
    `--initial-cluster=default=${ETCD_PEERS}`,
    // Alone, it waits for nobody's vote; by default it would for a second.
    '--heartbeat-interval=10',
    '--election-timeout=100',
    ...(durable ? [] : ['--unsafe-no-fsync']),
  ];
}

export interface ApiserverOptions {
  port: number;
}

export function apiserverArguments({ port }: ApiserverOptions): string[] {
  return [
    `--etcd-servers=${ETCD}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--tls-cert-file=${certFile(PKI.server)}`,
    `--tls-private-key-file=${keyFile(PKI.server)}`,
    `--client-ca-file=${certFile(PKI.ca)}`,
    `--token-auth-file=${TOKEN_FILE}`,
    '--authorization-mode=RBAC',
    // As runners are.
    '--allow-privileged=true',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${publicKeyFile(PKI.serviceAccounts)}`,
    `--service-account-signing-key-file=${keyFile(PKI.serviceAccounts)}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    // Nobody makes the service accounts that it would insist on in each namespace.
    '--disable-admission-plugins=ServiceAccount',
    '--kubelet-preferred-address-types=InternalIP',
    `--kubelet-certificate-authority=${certFile(PKI.nodeCa)}`,
    `--kubelet-client-certificate=${certFile(PKI.kubeletClient)}`,
    `--kubelet-client-key=${keyFile(PKI.kubeletClient)}`,
  ];
}

/** For `tools/kubernetes/kubelet`; `logs` is the unix socket of the server of logs. */
export function kubeletArguments(logs: string): string[] {
  return [
    `-ca=${certFile(PKI.nodeCa)}`,
    `-cert=${certFile(PKI.kubelet)}`,
    `-key=${keyFile(PKI.kubelet)}`,
    `-logs=${logs}`,
  ];
}
