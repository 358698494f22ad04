import { isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { applyConfiguration } from './apply.ts';
import { parseJsonBody, parseYamlBody } from './body.ts';
import { timestamp, type Answer, type ApiContext, type KindRequest } from './context.ts';
import { isJsonPatch, jsonPatch, mergePatch, PatchError } from './patch.ts';
import { metaText } from './metadata.ts';
import { shown } from './objects.ts';
import { lookUp } from './read.ts';
import { isTrue } from './request.ts';
import { UnreadableValue } from './secrets.ts';
import { ApiFailure, badRequest, invalid, unsupportedMediaType } from './status.ts';
import { strategicMerge } from './strategic.ts';
import { createObject, updateObject } from './write.ts';

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
const APPLY_PATCH = 'application/apply-patch+yaml';

function acceptedPatches({ kind, resource }: KindRequest): string[] {
  return [
    JSON_PATCH,
    MERGE_PATCH,
    ...(kind.custom ? [] : [STRATEGIC_PATCH]),
    ...(resource.subresource === undefined ? [APPLY_PATCH] : []),
  ];
}

/** Throws 400, 404, 409, 415 and 422. */
export async function patchObject(
  context: ApiContext,
  request: KindRequest,
  type: string,
  text: string,
): Promise<Answer> {
  const accepted = acceptedPatches(request);
  if (!accepted.includes(type)) throw unsupportedMediaType(accepted);
  if (type === APPLY_PATCH) return applyPatch(context, request, await parseYamlBody(text));
  const patch = parseJsonBody(text, 'error decoding patch');
  try {
    if (type === JSON_PATCH) return updateObject(context, request, (object) => applyJsonPatch(object, patch));
    if (!isObject(patch)) throw badRequest('error decoding patch: a merge patch is a JSON object');
    const merge = type === STRATEGIC_PATCH ? strategicMerge : mergePatch;
    return updateObject(context, request, (object) => merge(object, patch));
  } catch (error) {
    if (!(error instanceof UnreadableValue)) throw error;
    // What a patch makes of an object is judged as a value, not as a body.
    const message = `Invalid value: ${error.message}`;
    throw invalid('', '', '', [{ field: 'patch', reason: 'FieldValueInvalid', message }]);
  }
}

function applyPatch(context: ApiContext, request: KindRequest, configuration: unknown): Answer {
  const { query } = request.target;
  const manager = query.get('fieldManager') ?? '';
  if (manager === '') {
    const message = 'Required value: is required for apply patch';
    const errors = [{ field: 'fieldManager', reason: 'FieldValueRequired', message }] as const;
    throw invalid('meta.k8s.io', 'PatchOptions', '', [...errors]);
  }
  if (!isObject(configuration) || !configuration['apiVersion'] || !configuration['kind']) {
    throw badRequest('the configuration to apply is not an object with kind and apiVersion');
  }
  const application = { manager, force: isTrue(query, 'force'), now: timestamp(context.now()) };
  const existing = lookUp(context, request);
  if (existing === undefined) {
    const name = metaText(configuration, 'name');
    if (name !== request.resource.name) {
      throw badRequest(`the name of the object (${name}) does not match the name on the URL`);
    }
    const { owners } = applyConfiguration({}, configuration, application);
    return createObject(context, request, configuration, owners);
  }
  const live = shown(request.kind, existing.object);
  const { object, owners } = applyConfiguration(live, configuration, application);
  return updateObject(context, request, () => object, { owners });
}

function applyJsonPatch(object: JsonObject, patch: unknown): unknown {
  if (!isJsonPatch(patch)) throw badRequest('error decoding patch: a JSON patch is a list of operations');
  try {
    return jsonPatch(object, patch);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    const message = `the server rejected our request due to an error in our request: ${error.message}`;
    throw new ApiFailure(422, 'Invalid', message);
  }
}
