import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { generate } from 'selfsigned';
import type { Identity } from '../../src/lib/cluster/types.ts';
import { certFile, keyFile, PKI } from '../../src/lib/sandbox/kube-apiserver/certificates.ts';

export interface KeyAndCertificate {
  keyPem: string;
  certPem: string;
}

const CERTIFICATE = {
  keyType: 'ec',
  curve: 'P-256',
  algorithm: 'sha256',
  notBeforeDate: new Date(Date.now() - 3600_000),
} as const;

/** A new one, to sign the certificates of users. */
export async function userAuthority(): Promise<KeyAndCertificate> {
  const { private: keyPem, cert: certPem } = await generate([{ name: 'commonName', value: 'users' }], {
    ...CERTIFICATE,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
    ],
  });
  return { keyPem, certPem };
}

/** That of a sandbox on kube-apiserver; `folder` is its API server's. */
export async function sandboxAuthority(folder: string): Promise<KeyAndCertificate> {
  const [keyPem, certPem] = await Promise.all([
    readFile(path.join(folder, keyFile(PKI.ca)), 'utf8'),
    readFile(path.join(folder, certFile(PKI.ca)), 'utf8'),
  ]);
  return { keyPem, certPem };
}

/** Name and groups are plain words. */
export async function clientCertificate(
  authority: KeyAndCertificate,
  { username, groups }: Identity,
): Promise<KeyAndCertificate> {
  const subject = [
    ...groups.map((value) => ({ name: 'organizationName', value })),
    { name: 'commonName', value: username },
  ];
  const { private: keyPem, cert: certPem } = await generate(subject, {
    ...CERTIFICATE,
    ca: { key: authority.keyPem, cert: authority.certPem },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', clientAuth: true },
    ],
  });
  return { keyPem, certPem };
}
