import { isObject } from '../../cluster/parse.ts';
import type { JsonObject } from '../../cluster/types.ts';
import { parseJsonBody } from './body.ts';
import type { Answer, ApiContext, KindRequest } from './context.ts';
import type { Kind } from './kinds.ts';
import { jsonPatch, jsonPatchProblem, mergePatch, PatchError } from './patch.ts';
import { ApiFailure, badRequest, unsupportedMediaType } from './status.ts';
import { updateObject } from './write.ts';

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';

export function acceptedPatches(kind: Kind): string[] {
  return [JSON_PATCH, MERGE_PATCH, ...(kind.custom ? [] : [STRATEGIC_PATCH])];
}

/** Throws 400, 404, 409, 415 and 422. */
export function patchObject(context: ApiContext, request: KindRequest, type: string, text: string): Answer {
  if (!acceptedPatches(request.kind).includes(type)) {
    throw unsupportedMediaType(acceptedPatches(request.kind));
  }
  const patch = parseJsonBody(text);
  if (type === JSON_PATCH) return updateObject(context, request, (object) => applyJsonPatch(object, patch));
  if (!isObject(patch)) throw badRequest('a merge patch is a JSON object');
  return updateObject(context, request, (object) => mergePatch(object, patch));
}

function applyJsonPatch(object: JsonObject, patch: unknown): unknown {
  const problem = jsonPatchProblem(patch);
  if (problem !== undefined || !Array.isArray(patch)) throw badRequest(`error decoding patch: ${problem}`);
  try {
    return jsonPatch(object, patch);
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    const message = `the server rejected our request due to an error in our request: ${error.message}`;
    throw new ApiFailure(422, 'Invalid', message);
  }
}
