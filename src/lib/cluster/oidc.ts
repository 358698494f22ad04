import { readFile } from 'node:fs/promises';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { messageOf } from '../errors.ts';
import { asInteger, asObject, asString, asStrings, isObject, parseJson } from './parse.ts';
import { HttpsProxyAgent } from './proxy-agent.ts';
import { environmentProxy } from './proxy.ts';
import type { JsonObject } from './types.ts';

/** `auth-provider` of a kubeconfig's user, with the name `oidc`. */
export interface OidcUser {
  issuer: string;
  clientId: string;
  clientSecret: string;
  idToken: string | undefined;
  refreshToken: string | undefined;
  /** PEM; undefined: the authorities that Node trusts. */
  authority: () => Promise<string | Buffer | undefined>;
}

export interface OidcTokens {
  idToken: string;
  refreshToken: string;
}

/** Why there is no token. */
export class OidcError extends Error {}

const LIMIT_MS = 30_000;
/** A token that ends so soon is taken for one that has ended, as kubectl does. */
const MARGIN_MS = 10_000;

export function parseOidc(provider: unknown): OidcUser {
  const config = asStrings(asObject(provider)['config']);
  const data = config['idp-certificate-authority-data'];
  const file = config['idp-certificate-authority'];
  return {
    issuer: (config['idp-issuer-url'] ?? '').replace(/\/$/, ''),
    clientId: config['client-id'] ?? '',
    clientSecret: config['client-secret'] ?? '',
    idToken: config['id-token'] || undefined,
    refreshToken: config['refresh-token'] || undefined,
    authority: async () => (data ? Buffer.from(data, 'base64') : file ? readFile(file) : undefined),
  };
}

/** When a token ends, epoch milliseconds; 0 when it does not say. */
export function tokenEnd(idToken: string): number {
  const [, claims = ''] = idToken.split('.');
  return (asInteger(asObject(parseJson(Buffer.from(claims, 'base64url').toString()))['exp']) ?? 0) * 1000;
}

export function isOver(idToken: string): boolean {
  return tokenEnd(idToken) < Date.now() + MARGIN_MS;
}

/** New tokens for the refresh token. Errors: `OidcError`. */
export async function refreshTokens(
  { issuer, clientId, clientSecret, refreshToken, authority }: OidcUser,
  env: Record<string, string | undefined>,
): Promise<OidcTokens> {
  if (!refreshToken) throw new OidcError('its token has ended, and it has no refresh-token');
  if (!issuer.startsWith('https://')) throw new OidcError('it has no idp-issuer-url with https');
  const ca = await authority();
  const proxy = environmentProxy(issuer, env);
  const agent = proxy ? new HttpsProxyAgent(proxy, { ca }) : new https.Agent({ ca });
  const ask = async (url: string, request: Asked): Promise<JsonObject> => {
    try {
      return await exchange(url, request, agent);
    } catch (error) {
      if (error instanceof OidcError) throw error;
      throw new OidcError(`its issuer ${issuer} cannot be asked: ${messageOf(error)}`, { cause: error });
    }
  };
  try {
    const { token_endpoint: endpoint } = await ask(`${issuer}/.well-known/openid-configuration`, {});
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken };
    const answer = await ask(asString(endpoint) ?? `${issuer}/token`, {
      form: clientSecret === '' ? { ...form, client_id: clientId } : form,
      ...(clientSecret === '' ? {} : { basic: `${formText(clientId)}:${formText(clientSecret)}` }),
    });
    const idToken = asString(answer['id_token']);
    if (!idToken) throw new OidcError(`its issuer ${issuer} gave no id_token`);
    return { idToken, refreshToken: asString(answer['refresh_token']) || refreshToken };
  } finally {
    agent.destroy();
  }
}

interface Asked {
  form?: Record<string, string>;
  basic?: string;
}

/** One GET, or POST of a form, whose answer is a JSON object. */
async function exchange(url: string, { form, basic }: Asked, agent: https.Agent): Promise<JsonObject> {
  const response = await new Promise<Response>((resolve, reject) => {
    const request = https.request(url, {
      agent,
      method: form ? 'POST' : 'GET',
      headers: {
        accept: 'application/json',
        ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      },
      ...(basic === undefined ? {} : { auth: basic }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    request.once('error', reject);
    request.once('response', (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
    });
    request.end(form && new URLSearchParams(form).toString());
  });
  const value = parseJson(response.body);
  if (response.status === 200 && isObject(value)) return value;
  const { error = '', error_description: detail = '' } = asStrings(value);
  const why = [error, detail].filter((part) => part !== '').join(': ') || `status ${response.status}`;
  throw new OidcError(`its issuer refuses: ${why} (${new URL(url).origin})`);
}

interface Response {
  status: number;
  body: string;
}

/** As RFC 6749 wants both parts of Basic credentials. */
function formText(value: string): string {
  return new URLSearchParams({ value }).toString().slice('value='.length);
}
