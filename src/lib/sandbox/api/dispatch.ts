import type { IncomingMessage, ServerResponse } from 'node:http';
import { asObject, isObject } from '../../cluster/parse.ts';
import type { Identity, JsonObject } from '../../cluster/types.ts';
import { forbidden, forbiddenPath, isAllowed, isPathAllowed } from './authorize.ts';
import { mediaType, parseBody, readBody } from './body.ts';
import type { Answer, ApiContext, KindRequest } from './context.ts';
import { discoveryDocument } from './discovery.ts';
import { apiVersionOf, findKind } from './kinds.ts';
import { servePodLog } from './logs.ts';
import { patchObject } from './patching.ts';
import { servePortForward, type UpgradeRequest } from './port-forward.ts';
import { getObject, listObjects } from './read.ts';
import { negotiate, type ResourceTarget, type Target } from './request.ts';
import { findReview, type Review } from './reviews.ts';
import { selectedName } from './selection.ts';
import { methodNotAllowed, unknownPath } from './status.ts';
import { serveWatch } from './watch.ts';
import { createObject, deleteCollection, deleteObject, replaceObject } from './write.ts';

/** Who asks for what, and what to read its body from. */
export interface ApiRequest {
  identity: Identity;
  target: Target;
  message: IncomingMessage;
  maxBodyBytes: number;
  /** Set where the client asks for another protocol on this connection. */
  upgrade?: UpgradeRequest | undefined;
}

/** Answers one request; undefined: the answer has been streamed, or the connection taken over. Throws `ApiFailure`. */
export async function dispatch(
  context: ApiContext,
  request: ApiRequest,
  response: ServerResponse,
): Promise<Answer | undefined> {
  const { target } = request;
  authorize(context, request);
  const { resource } = target;
  if (resource === undefined) return answerPath(request);
  const review = findReview(resource.group, resource.version, resource.plural);
  if (review) return answerReview(context, request, review);
  const kind = findKind(resource.group, resource.version, resource.plural);
  if (kind === undefined) throw unknownPath();
  const { accept, 'user-agent': userAgent = '' } = request.message.headers;
  const kindRequest: KindRequest = { kind, target, resource, accept, userAgent };
  checkShape(kindRequest);
  if (target.verb === 'watch') {
    await serveWatch(context, kindRequest, response);
    return undefined;
  }
  if (resource.subresource === 'portforward') {
    await servePortForward(context, kindRequest, request.identity, request.upgrade);
    return undefined;
  }
  if (resource.subresource === 'log') {
    await servePodLog(context, kindRequest, response);
    return undefined;
  }
  return answerKind(context, request, kindRequest);
}

function authorize({ rules }: ApiContext, { identity, target }: ApiRequest): void {
  const { resource, verb, path, query } = target;
  if (resource === undefined) {
    if (!isPathAllowed(identity, verb, path)) throw forbiddenPath(identity, verb, path);
    return;
  }
  const { group, plural, namespace, subresource } = resource;
  const name = resource.name ?? (verb === 'create' ? undefined : selectedName(query));
  const attributes = {
    group,
    resource: plural,
    verb,
    namespace,
    name,
    ...(subresource === undefined ? {} : { subresource }),
  };
  if (!isAllowed(rules, identity, attributes)) throw forbidden(identity, attributes);
}

function answerPath({ target, message }: ApiRequest): Answer {
  const { path, method } = target;
  if (/^\/(healthz|livez|readyz)(\/[\w-]+)?$/.test(path)) {
    return { status: 200, text: 'ok', contentType: 'text/plain; charset=utf-8' };
  }
  const document = discoveryDocument(path.replace(/(?<=.)\/$/, ''));
  if (document === undefined) throw unknownPath();
  if (method !== 'GET' && method !== 'HEAD') throw methodNotAllowed();
  // kubectl asks for a binary form of this one alone; it reads an empty document from ours.
  if (!path.startsWith('/openapi/')) negotiate(message.headers.accept, false);
  return { status: 200, text: JSON.stringify(document) };
}

/** A question as it is sent back. */
function withoutEmptyTexts(value: JsonObject): JsonObject {
  const kept = Object.entries(value).filter(([, field]) => field !== '');
  return Object.fromEntries(
    kept.map(([name, field]) => [name, isObject(field) ? withoutEmptyTexts(field) : field]),
  );
}

async function answerReview(
  { rules }: ApiContext,
  { identity, target, message, maxBodyBytes }: ApiRequest,
  { group, kind, answer }: Review,
): Promise<Answer> {
  if (target.method !== 'POST' || target.resource?.name !== undefined) throw methodNotAllowed();
  const body = asObject(await parseBody(mediaType(message), await readBody(message, maxBodyBytes)));
  const spec = asObject(body['spec']);
  const review = {
    kind,
    apiVersion: apiVersionOf({ group, version: 'v1' }),
    metadata: {},
    spec: withoutEmptyTexts(spec),
    status: answer(spec, identity, rules),
  };
  return { status: 201, text: JSON.stringify(review) };
}

/** Refuses methods and subresources that the kind does not have. */
function checkShape({ kind, target, resource }: KindRequest): void {
  const { name, subresource } = resource;
  const { method } = target;
  const expected = subresourceMethods({ kind, subresource }) ?? (name === undefined ? COLLECTION : OBJECT);
  if (expected.length === 0) throw unknownPath();
  if (!expected.includes(method)) throw methodNotAllowed();
}

const COLLECTION = ['GET', 'HEAD', 'POST', 'DELETE'];
const OBJECT = ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'];

/** undefined: there is no subresource; none: the kind does not have this one. */
function subresourceMethods({
  kind,
  subresource,
}: Pick<KindRequest, 'kind'> & Pick<ResourceTarget, 'subresource'>): string[] | undefined {
  if (subresource === undefined) return undefined;
  if (subresource === 'status' && kind.hasStatus) return ['GET', 'HEAD', 'PUT', 'PATCH'];
  if (subresource === 'log' && kind.hasLog) return ['GET', 'HEAD'];
  if (subresource === 'portforward' && kind.hasPortForward) return ['GET', 'POST'];
  return [];
}

async function answerKind(context: ApiContext, request: ApiRequest, of: KindRequest): Promise<Answer> {
  const { message, maxBodyBytes } = request;
  const { resource, target } = of;
  const type = mediaType(message);
  switch (target.method) {
    case 'GET':
    case 'HEAD':
      return resource.name === undefined ? listObjects(context, of) : getObject(context, of);
    case 'POST':
      return createObject(context, of, await parseBody(type, await readBody(message, maxBodyBytes)));
    case 'PUT':
      return replaceObject(context, of, await parseBody(type, await readBody(message, maxBodyBytes)));
    case 'PATCH':
      return patchObject(context, of, type ?? '', String(await readBody(message, maxBodyBytes)));
    case 'DELETE': {
      const body = await readBody(message, maxBodyBytes);
      const options = body.length === 0 ? undefined : await parseBody(type, body);
      return resource.name === undefined
        ? deleteCollection(context, of, options)
        : deleteObject(context, of, options);
    }
    default:
      throw methodNotAllowed();
  }
}
