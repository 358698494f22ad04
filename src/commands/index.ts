// Made by `npm run commands`: every command, loaded when it runs.
import type { CommandLoaders } from '../lib/cli/plugin.ts';

export const COMMANDS: CommandLoaders = {
  list: () => import('./list.ts'),
  login: () => import('./login.ts'),
  logout: () => import('./logout.ts'),
  reset: () => import('./reset.ts'),
  restart: () => import('./restart.ts'),
  start: () => import('./start.ts'),
  stop: () => import('./stop.ts'),
  wait: () => import('./wait.ts'),
  whoami: () => import('./whoami.ts'),
};
