// Made by `npm run commands`: every command, loaded when it runs.
import type { CommandLoaders } from '../lib/cli/plugin.ts';

export const COMMANDS: CommandLoaders = {
  'access:apply': () => import('./access/apply.ts'),
  'access:check': () => import('./access/check.ts'),
  'access:generate': () => import('./access/generate.ts'),
  console: () => import('./console.ts'),
  list: () => import('./list.ts'),
  login: () => import('./login.ts'),
  logout: () => import('./logout.ts'),
  reset: () => import('./reset.ts'),
  restart: () => import('./restart.ts'),
  'sandbox:daemon': () => import('./sandbox/daemon.ts'),
  'sandbox:logs': () => import('./sandbox/logs.ts'),
  'sandbox:start': () => import('./sandbox/start.ts'),
  'sandbox:status': () => import('./sandbox/status.ts'),
  'sandbox:stop': () => import('./sandbox/stop.ts'),
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
