import { Flags } from '@oclif/core';
import { DRY_RUN_FLAG, TARGET_FLAGS } from './flags.ts';

/** Whom a change of spec.permissions is for, and where. */
export const GRANTEE_FLAGS = {
  user: Flags.string({
    char: 'u',
    summary: 'the user, as spec.permissions names users',
    exclusive: ['role'],
  }),
  role: Flags.string({ summary: 'the role, as spec.permissions names roles' }),
};

/** The permissions of a change. */
export const MAY_FLAG = { multiple: true, multipleNonGreedy: true } as const;

/** What is changed. */
export const OWNER_FLAGS = {
  pool: Flags.string({ summary: 'change this pool instead of VMs' }),
  ...TARGET_FLAGS,
  ...DRY_RUN_FLAG,
};
