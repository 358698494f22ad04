// Made by `npm run commands`: every command, loaded when it runs.
import type { CommandLoaders } from '../lib/cli/plugin.ts';

export const COMMANDS: CommandLoaders = {
  list: () => import('./list.ts'),
  login: () => import('./login.ts'),
  logout: () => import('./logout.ts'),
  reset: () => import('./reset.ts'),
  restart: () => import('./restart.ts'),
  'secret:expire': () => import('./secret/expire.ts'),
  'secret:rotate': () => import('./secret/rotate.ts'),
  'secret:set': () => import('./secret/set.ts'),
  'secret:show': () => import('./secret/show.ts'),
  show: () => import('./show.ts'),
  start: () => import('./start.ts'),
  stop: () => import('./stop.ts'),
  wait: () => import('./wait.ts'),
  whoami: () => import('./whoami.ts'),
};
