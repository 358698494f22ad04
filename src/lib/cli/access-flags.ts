import { Flags } from '@oclif/core';
import { VmopError } from '../errors.ts';

const several = { multiple: true, multipleNonGreedy: true, delimiter: ',' } as const;

/** What the commands of `vmop access` have in common. */
export const ACCESS_FLAGS = {
  'all-namespaces': Flags.boolean({ char: 'A', summary: 'for all namespaces', default: false }),
  users: Flags.string({ summary: 'only for these users of spec.permissions', ...several }),
  roles: Flags.string({ summary: 'only for these roles of spec.permissions', ...several }),
  'user-prefix': Flags.string({
    summary: 'what the API server puts before the names of spec.permissions, e.g. oidc:',
  }),
  'pool-members': Flags.boolean({
    summary: 'also let users of a pool reach the VMs that it has not assigned yet',
    default: false,
  }),
  events: Flags.boolean({
    summary: 'let users see events: RBAC can only give those of all VMs of the namespace',
    default: true,
    allowNo: true,
  }),
  tunnel: Flags.boolean({
    summary: 'let users open a console through the API server: it reaches every port of the runner’s host',
    default: true,
    allowNo: true,
  }),
  policies: Flags.boolean({
    summary: 'with the admission policies, which are for the whole cluster',
    default: true,
    allowNo: true,
  }),
  'administrator-verb': Flags.string({
    summary: 'whoever RBAC allows this verb on all VMs of a namespace is not limited (default: patch)',
    parse: (text) => Promise.resolve(parseVerb(text)),
  }),
  'exempt-user': Flags.string({ summary: 'a user whom the policies do not limit; repeatable', ...several }),
  'exempt-group': Flags.string({ summary: 'a group whom the policies do not limit; repeatable', ...several }),
};

/** For the commands that compare with what is there. */
export const COMPARING_FLAGS = {
  ...ACCESS_FLAGS,
  'replace-options': Flags.boolean({
    summary:
      'where --user-prefix, --administrator-verb, --exempt-* or the roles of config.yaml are not those of the policies ' +
      'in the cluster, replace them, for all namespaces',
    default: false,
  }),
};

/** Error: `usage`. */
function parseVerb(text: string): string {
  if (/^[A-Za-z]+$/.test(text)) return text;
  throw new VmopError('usage', `not a verb of RBAC: ${JSON.stringify(text)}`, {
    hint: 'patch, or one of your own such as administrate',
  });
}
