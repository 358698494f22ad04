import { X509Certificate } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ServerCertificate {
  keyPem: string;
  /** Signs itself, so it is its own CA. */
  certPem: string;
}

const DAY = 24 * 3600_000;
const LIFETIME = 3650 * DAY;
const RENEW_BEFORE = 30 * DAY;

/** The certificate kept in `directory` (`server.pem`, 0600), or a new one where there is none that lasts. */
export async function loadCertificate(directory: string | undefined): Promise<ServerCertificate> {
  if (directory === undefined) return generateCertificate();
  const file = join(directory, 'server.pem');
  const known = parseCertificate(await readFile(file, 'utf8').catch(() => ''));
  if (known) return known;
  const made = await generateCertificate();
  const unfinished = `${file}.new`;
  await writeFile(unfinished, `${made.keyPem.trim()}\n${made.certPem.trim()}\n`, { mode: 0o600 });
  await rename(unfinished, file);
  return made;
}

function parseCertificate(text: string): ServerCertificate | undefined {
  const keyPem = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0];
  const certPem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text)?.[0];
  if (keyPem === undefined || certPem === undefined) return undefined;
  return endOf(certPem) > Date.now() + RENEW_BEFORE ? { keyPem, certPem } : undefined;
}

/** When the certificate ends, in milliseconds; long ago for what is none. */
function endOf(certPem: string): number {
  try {
    return new X509Certificate(certPem).validToDate.getTime();
  } catch {
    return 0;
  }
}

async function generateCertificate(): Promise<ServerCertificate> {
  // Loaded only when needed: its ASN.1 classes cost more than the rest of the API together.
  const { generate } = await import('selfsigned');
  const { private: keyPem, cert } = await generate([{ name: 'commonName', value: 'vmop sandbox' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    // The clocks of containers and virtual machines differ a little from ours.
    notBeforeDate: new Date(Date.now() - DAY),
    notAfterDate: new Date(Date.now() + LIFETIME),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: '127.0.0.1' },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
  });
  return { keyPem, certPem: cert };
}
