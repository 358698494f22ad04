import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { generate } from 'selfsigned';
import { writePrivate } from '../private-file.ts';

interface KeyAndCertificate {
  keyPem: string;
  certPem: string;
}

/** Files below the API server's folder. */
export const PKI = {
  /** Signs the server's certificate, and those that users may have besides their tokens. */
  ca: 'pki/ca',
  server: 'pki/server',
  /** Signs what API server and kubelet show each other; no user has a certificate of it. */
  nodeCa: 'pki/node-ca',
  kubelet: 'pki/kubelet',
  kubeletClient: 'pki/kubelet-client',
  serviceAccounts: 'pki/service-accounts',
} as const;

export const certFile = (name: string): string => `${name}.crt`;
export const keyFile = (name: string): string => `${name}.key`;

export const publicKeyFile = (name: string): string => `${name}.pub`;

const DAY = 24 * 3600_000;
const LIFETIME = 3650 * DAY;
const RENEW_BEFORE = 30 * DAY;

/** Makes what is missing of `PKI` below the folder; returns the certificate of the authority of users and server. */
export async function loadCertificates(directory: string): Promise<string> {
  const known = await readPair(directory, PKI.ca).catch(() => undefined);
  if (known && new X509Certificate(known.certPem).validToDate.getTime() > Date.now() + RENEW_BEFORE)
    return known.certPem;
  await mkdir(path.join(directory, 'pki'), { recursive: true, mode: 0o700 });
  const [ca, nodeCa] = await Promise.all([authority('vmop sandbox'), authority('vmop sandbox node')]);
  const [server, kubelet, kubeletClient] = await Promise.all([
    signed({ ca, commonName: 'kube-apiserver', use: 'server' }),
    signed({ ca: nodeCa, commonName: 'kubelet', use: 'server' }),
    signed({ ca: nodeCa, commonName: 'kube-apiserver', use: 'client' }),
  ]);
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writePrivate(path.join(directory, keyFile(PKI.serviceAccounts)), privateKey);
  await writePrivate(path.join(directory, publicKeyFile(PKI.serviceAccounts)), publicKey);
  await writePair(directory, PKI.server, server);
  await writePair(directory, PKI.nodeCa, nodeCa);
  await writePair(directory, PKI.kubelet, kubelet);
  await writePair(directory, PKI.kubeletClient, kubeletClient);
  // Last, because it is what tells that all are there.
  await writePair(directory, PKI.ca, ca);
  return ca.certPem;
}

interface SignedOptions {
  ca: KeyAndCertificate;
  commonName: string;
  use: 'server' | 'client';
}

async function signed({ ca, commonName, use }: SignedOptions): Promise<KeyAndCertificate> {
  return await generated(commonName, {
    ca: { key: ca.keyPem, cert: ca.certPem },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      use === 'server'
        ? { name: 'extKeyUsage', serverAuth: true }
        : { name: 'extKeyUsage', clientAuth: true },
      ...(use === 'server' ? [{ name: 'subjectAltName' as const, altNames: LOOPBACK_NAMES }] : []),
    ],
  });
}

const LOOPBACK_NAMES = [
  { type: 7 as const, ip: '127.0.0.1' },
  ...['localhost', 'kubernetes', 'kubernetes.default.svc'].map((value) => ({ type: 2 as const, value })),
];

async function authority(commonName: string): Promise<KeyAndCertificate> {
  return await generated(commonName, {
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
    ],
  });
}

async function generated(
  commonName: string,
  options: Parameters<typeof generate>[1],
): Promise<KeyAndCertificate> {
  // Loaded only when needed: its ASN.1 classes are many.
  const selfsigned = await import('selfsigned');
  const { private: keyPem, cert } = await selfsigned.generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // The clocks of containers and virtual machines differ a little from ours.
    notBeforeDate: new Date(Date.now() - DAY),
    notAfterDate: new Date(Date.now() + LIFETIME),
    ...options,
  });
  return { keyPem, certPem: cert };
}

async function readPair(directory: string, name: string): Promise<KeyAndCertificate> {
  const [keyPem, certPem] = await Promise.all([
    readFile(path.join(directory, keyFile(name)), 'utf8'),
    readFile(path.join(directory, certFile(name)), 'utf8'),
  ]);
  return { keyPem, certPem };
}

async function writePair(directory: string, name: string, pair: KeyAndCertificate): Promise<void> {
  await writePrivate(path.join(directory, keyFile(name)), pair.keyPem);
  await writePrivate(path.join(directory, certFile(name)), pair.certPem);
}
