import { asArray, asObject, asString } from './parse.ts';
import type { AccessAttributes, AccessRule, AccessRules, JsonObject } from './types.ts';

/** The `status` of a SelfSubjectRulesReview. */
export function parseAccessRules(status: JsonObject): AccessRules {
  const problem = asString(status['evaluationError']) ?? '';
  return {
    rules: asArray(status['resourceRules']).map(parseRule),
    incomplete: status['incomplete'] === true,
    ...(problem === '' ? {} : { problem }),
  };
}

function parseRule(value: unknown): AccessRule {
  const rule = asObject(value);
  const texts = (key: string): string[] => asArray(rule[key]).filter((one) => typeof one === 'string');
  const names = texts('resourceNames');
  return {
    verbs: texts('verbs'),
    groups: texts('apiGroups'),
    resources: texts('resources'),
    ...(names.length === 0 ? {} : { names }),
  };
}

type Kind = Pick<AccessAttributes, 'group' | 'resource' | 'subresource'>;

/** Whether a rule is for the verb and the kind, whatever the object's name. */
function concerns(rule: AccessRule, verb: string, { group, resource, subresource }: Kind): boolean {
  const includes = (list: readonly string[], value: string): boolean =>
    list.includes('*') || list.includes(value);
  const full = subresource === undefined ? resource : `${resource}/${subresource}`;
  return (
    includes(rule.verbs, verb) &&
    includes(rule.groups, group) &&
    (includes(rule.resources, full) ||
      (subresource !== undefined && rule.resources.includes(`*/${subresource}`)))
  );
}

/** The names of the objects for which the rules allow the verb, sorted, each once; `any` where one allows it for all. */
export function allowedNames({ rules }: AccessRules, verb: string, kind: Kind): 'any' | string[] {
  const names = new Set<string>();
  for (const rule of rules) {
    if (!concerns(rule, verb, kind)) continue;
    if (rule.names === undefined) return 'any';
    for (const name of rule.names) names.add(name);
  }
  return [...names].sort();
}

/** Whether the rules of the attributes' namespace allow it; where they are incomplete, only a yes is certain. */
export function rulesAllow(rules: AccessRules, { verb, name, ...kind }: AccessAttributes): boolean {
  const names = allowedNames(rules, verb, kind);
  return names === 'any' || (name !== undefined && names.includes(name));
}
