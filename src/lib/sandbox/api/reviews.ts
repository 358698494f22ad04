import { asArray, asObject, asString, compact } from '../../cluster/parse.ts';
import type { AccessAttributes, Identity, JsonObject } from '../../cluster/types.ts';
import { isAllowed, isPathAllowed, rulesReview, type PolicyRule } from './authorize.ts';
import { badRequest, invalid } from './status.ts';

const AUTHENTICATION = 'authentication.k8s.io';
const AUTHORIZATION = 'authorization.k8s.io';

/** A question that is answered and stored nowhere. */
export interface Review {
  group: string;
  kind: string;
  plural: string;
  /** The answer's `status`. */
  answer: (spec: JsonObject, identity: Identity, rules: readonly PolicyRule[]) => JsonObject;
}

export const REVIEWS: readonly Review[] = [
  {
    group: AUTHENTICATION,
    kind: 'SelfSubjectReview',
    plural: 'selfsubjectreviews',
    answer: (_spec, { username, groups, uid, extra }) => ({
      userInfo: compact({ username, groups, uid, extra }),
    }),
  },
  {
    group: AUTHORIZATION,
    kind: 'SelfSubjectAccessReview',
    plural: 'selfsubjectaccessreviews',
    answer: (spec, identity, rules) => accessReview('SelfSubjectAccessReview', spec, identity, rules),
  },
  {
    group: AUTHORIZATION,
    kind: 'SubjectAccessReview',
    plural: 'subjectaccessreviews',
    answer: (spec, _identity, rules) => {
      const groups = asArray(spec['groups']).filter((group) => typeof group === 'string');
      const subject = { username: asString(spec['user']) ?? '', groups };
      return accessReview('SubjectAccessReview', spec, subject, rules);
    },
  },
  {
    group: AUTHORIZATION,
    kind: 'SelfSubjectRulesReview',
    plural: 'selfsubjectrulesreviews',
    answer: (spec, identity, rules) => {
      const namespace = asString(spec['namespace']) ?? '';
      if (namespace === '') throw badRequest('no namespace on request');
      return rulesReview(rules, identity, namespace);
    },
  },
];

export function findReview(group: string, version: string, plural: string): Review | undefined {
  return REVIEWS.find((review) => review.group === group && version === 'v1' && review.plural === plural);
}

function accessReview(
  kind: string,
  spec: JsonObject,
  subject: Identity,
  rules: readonly PolicyRule[],
): JsonObject {
  const resource = spec['resourceAttributes'];
  const path = spec['nonResourceAttributes'];
  if ((resource === undefined) === (path === undefined)) {
    const message =
      'Invalid value: exactly one of resourceAttributes and nonResourceAttributes must be specified';
    const field = 'spec.resourceAttributes';
    throw invalid(AUTHORIZATION, kind, '', [{ field, reason: 'FieldValueInvalid', message }]);
  }
  const allowed =
    resource === undefined
      ? isPathAllowed(subject, asString(asObject(path)['verb']) ?? '', asString(asObject(path)['path']) ?? '')
      : isAllowed(rules, subject, parseAttributes(asObject(resource)));
  return { allowed, reason: allowed ? 'allowed by a rule of the sandbox' : '' };
}

function parseAttributes(attributes: JsonObject): AccessAttributes {
  const text = (name: string): string => asString(attributes[name]) ?? '';
  return {
    group: text('group'),
    resource: text('resource'),
    verb: text('verb'),
    namespace: text('namespace') || undefined,
    name: text('name') || undefined,
    ...(text('subresource') === '' ? {} : { subresource: text('subresource') }),
  };
}
