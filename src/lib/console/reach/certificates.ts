import { refusal, type Given } from './address.ts';

/**
 * The certificates of a PEM text and nothing else: a private key beside them must not get into a connection file.
 * Errors: see `refusal`.
 */
export function checkedCertificates(given: Given): string {
  const blocks = given.value.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g);
  if (blocks === null) throw refusal(given, 'holds no certificate in PEM form');
  return `${blocks.map((block) => block.replaceAll('\r', '')).join('\n')}\n`;
}

/** A certificate's subject as the viewer compares it: without spaces behind commas. Errors: see `refusal`. */
export function checkedSubject(given: Given): string {
  const subject = given.value.replace(/,\s+/g, ',');
  if (/^[A-Za-z0-9.]+=[^\p{Cc}]+$/u.test(subject)) return subject;
  throw refusal(given, 'is not the subject of a certificate, such as O=vm,CN=desktop');
}
