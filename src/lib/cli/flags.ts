import { Args, Flags } from '@oclif/core';

/** Flags that every command has. */
export const GLOBAL_FLAGS = {
  namespace: Flags.string({
    char: 'n',
    summary: 'namespace to work in',
    env: 'VMOP_NAMESPACE',
    helpGroup: 'GLOBAL',
  }),
  context: Flags.string({
    summary: 'context of the kubeconfig to use',
    env: 'VMOP_CONTEXT',
    helpGroup: 'GLOBAL',
  }),
  kubeconfig: Flags.string({
    summary: 'kubeconfig file to use instead of the usual ones',
    helpGroup: 'GLOBAL',
  }),
  server: Flags.string({
    summary: 'address of the API server, instead of the kubeconfig’s',
    helpGroup: 'GLOBAL',
  }),
  as: Flags.string({ summary: 'act as this user (impersonation)', helpGroup: 'GLOBAL' }),
  'as-group': Flags.string({
    summary: 'act as a member of this group; repeatable',
    multiple: true,
    multipleNonGreedy: true,
    helpGroup: 'GLOBAL',
  }),
  'user-name': Flags.string({
    summary: 'the name that stands for you in spec.permissions',
    env: 'VMOP_USER_NAME',
    helpGroup: 'GLOBAL',
  }),
  'request-timeout': Flags.string({
    summary: 'how long one request to the API server may take, e.g. 10s',
    default: '30s',
    helpGroup: 'GLOBAL',
  }),
  output: Flags.string({
    char: 'o',
    summary: 'table, wide, json, yaml, name, jsonpath=…, custom-columns=…',
    helpGroup: 'GLOBAL',
  }),
  json: Flags.boolean({ summary: 'the same as -o json', exclusive: ['output'], helpGroup: 'GLOBAL' }),
  'no-color': Flags.boolean({ summary: 'no colours', helpGroup: 'GLOBAL' }),
  quiet: Flags.boolean({
    char: 'q',
    summary: 'nothing on stderr but warnings and errors',
    helpGroup: 'GLOBAL',
  }),
  verbose: Flags.boolean({ char: 'v', summary: 'say what is done in detail', helpGroup: 'GLOBAL' }),
};

/** Choosing VMs: by name, by label, or all. */
export const TARGET_FLAGS = {
  selector: Flags.string({ char: 'l', summary: 'the VMs with these labels, e.g. team=blue' }),
  all: Flags.boolean({ summary: 'every VM of the namespace on which you hold the permission' }),
  'all-namespaces': Flags.boolean({ char: 'A', summary: 'look in all namespaces' }),
};

export const DRY_RUN_FLAG = {
  'dry-run': Flags.boolean({ summary: 'let the server check the change, but store nothing', default: false }),
};

export const YES_FLAG = { yes: Flags.boolean({ char: 'y', summary: 'do not ask' }) };

/** `--wait` with its time-out. */
export function waitFlags(timeout: string) {
  return {
    wait: Flags.boolean({ summary: 'wait until it is done', default: true, allowNo: true }),
    timeout: Flags.string({ summary: 'how long to wait, e.g. 90s or 5m', default: timeout }),
  };
}

export const VM_ARG = { vm: Args.string({ description: 'name of the VM' }) };

export const VMS_ARG = { vm: Args.string({ description: 'names of VMs', multiple: true }) };

export const FORCE_FLAG = {
  force: Flags.boolean({ summary: 'end the machine now, without asking its guest to power down' }),
};
