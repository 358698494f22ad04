import type { View } from '../output/render.ts';
import { subjectOf } from '../cli/identity.ts';
import type { Context } from '../cli/context.ts';

/** `vmop whoami`'s `--json` form. */
export interface Whoami {
  /** As the API server says. */
  username: string;
  groups: string[];
  /** As `spec.permissions` names me. */
  user: string;
  roles: string[];
  /** May change any VM of the namespace. */
  administrator: boolean;
  namespace: string;
  context: string;
  server: string;
}

export async function whoAmI(context: Context, userName: string | undefined): Promise<Whoami> {
  const { cluster, namespace } = context;
  const [standing, settings] = await Promise.all([context.standing(namespace), context.settings]);
  const { name, roles, administrator } = subjectOf(standing, settings, userName);
  return {
    username: standing.username,
    groups: standing.groups,
    user: name,
    roles: [...roles],
    administrator,
    namespace,
    context: cluster.context.name,
    server: cluster.context.server,
  };
}

export const WHOAMI_VIEW: View<Whoami> = {
  columns: [
    { header: 'USER', value: (me) => me.user },
    { header: 'ROLES', value: (me) => me.roles.join(',') || undefined, flexible: true },
    { header: 'ADMINISTRATOR', value: (me) => (me.administrator ? 'yes' : 'no') },
    { header: 'NAMESPACE', value: (me) => me.namespace },
    { header: 'CONTEXT', value: (me) => me.context },
  ],
  wideColumns: [
    { header: 'USERNAME', value: (me) => me.username },
    { header: 'SERVER', value: (me) => me.server },
  ],
  name: (me) => me.user,
};
