import { asObject, asString, asStrings } from '../../cluster/parse.ts';
import type { KubeObject } from '../../cluster/types.ts';
import { VmopError } from '../../errors.ts';

/** What stands in the policies, which are one for the whole cluster. */
export interface PolicyOptions {
  /** What the API server puts before the names of spec.permissions, e.g. `oidc:`. */
  userPrefix: string;
  /** Groups → the roles that they are in spec.permissions. */
  groupRoles: Readonly<Record<string, string>>;
  /** Users and groups whom no policy limits, beside the administrators. */
  exemptUsers: readonly string[];
  exemptGroups: readonly string[];
  /** Who is allowed this verb on every VM of the namespace is its administrator. */
  administratorVerb: string;
}

/** What somebody said of them; undefined: nothing. */
export type GivenPolicyOptions = { [Option in keyof PolicyOptions]: PolicyOptions[Option] | undefined };

/** On the policies: their options, as `policyOptionsText` writes them. */
export const OPTIONS_ANNOTATION = 'vmop/options';

const DEFAULTS: PolicyOptions = {
  userPrefix: '',
  groupRoles: {},
  exemptUsers: [],
  exemptGroups: [],
  administratorVerb: 'patch',
};

/** How a person says them. */
const SAID_AS: Record<keyof PolicyOptions, string> = {
  userPrefix: '--user-prefix',
  groupRoles: 'roles of config.yaml',
  exemptUsers: '--exempt-user',
  exemptGroups: '--exempt-group',
  administratorVerb: '--administrator-verb',
};

export function policyOptionsText(options: PolicyOptions): string {
  return JSON.stringify(ordered(options));
}

/** The options that stand on a policy; undefined where none do, or nothing that could be read. */
export function policyOptionsOf({ metadata }: KubeObject): PolicyOptions | undefined {
  const text = metadata.annotations?.[OPTIONS_ANNOTATION];
  if (text === undefined) return undefined;
  let options: Record<string, unknown>;
  try {
    options = asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
  const names = (value: unknown): string[] =>
    (Array.isArray(value) ? value : []).filter((one) => typeof one === 'string');
  return ordered({
    userPrefix: asString(options['userPrefix']) ?? DEFAULTS.userPrefix,
    groupRoles: asStrings(options['groupRoles']),
    exemptUsers: names(options['exemptUsers']),
    exemptGroups: names(options['exemptGroups']),
    administratorVerb: asString(options['administratorVerb']) ?? DEFAULTS.administratorVerb,
  });
}

/** The same for the same options, in whatever order they were said. */
function ordered(options: PolicyOptions): PolicyOptions {
  const roles = Object.entries(options.groupRoles).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    userPrefix: options.userPrefix,
    groupRoles: Object.fromEntries(roles),
    exemptUsers: [...new Set(options.exemptUsers)].toSorted(),
    exemptGroups: [...new Set(options.exemptGroups)].toSorted(),
    administratorVerb: options.administratorVerb,
  };
}

/**
 * What is to stand in the policies: what was said, else what stands there already. Error: `conflict` where the two are
 * not the same and nobody said that they are to be replaced: it would change what holds in every namespace.
 */
export function choosePolicyOptions(
  given: GivenPolicyOptions,
  stored: PolicyOptions | undefined,
  replace: boolean,
): PolicyOptions {
  const { userPrefix, groupRoles, exemptUsers, exemptGroups, administratorVerb } = given;
  const kept = stored ?? DEFAULTS;
  const chosen = ordered({
    userPrefix: userPrefix ?? kept.userPrefix,
    groupRoles: groupRoles ?? kept.groupRoles,
    exemptUsers: exemptUsers ?? kept.exemptUsers,
    exemptGroups: exemptGroups ?? kept.exemptGroups,
    administratorVerb: administratorVerb ?? kept.administratorVerb,
  });
  const changes = stored === undefined || replace ? [] : optionChanges(stored, chosen);
  if (changes.length === 0) return chosen;
  throw new VmopError(
    'conflict',
    `the admission policies were made with other options: ${changes.join('; ')}`,
    {
      hint: 'they hold for every namespace: leave out what differs to keep them, or replace them for all with --replace-options',
    },
  );
}

/** Where they differ, as a person says them. */
export function optionChanges(stored: PolicyOptions, chosen: PolicyOptions): string[] {
  const change = (option: keyof PolicyOptions): string[] => {
    const [is, should] = [JSON.stringify(stored[option]), JSON.stringify(chosen[option])];
    return is === should ? [] : [`${SAID_AS[option]}: ${is}, not ${should}`];
  };
  return [
    ...change('userPrefix'),
    ...change('groupRoles'),
    ...change('exemptUsers'),
    ...change('exemptGroups'),
    ...change('administratorVerb'),
  ];
}
