import os from 'node:os';
import path from 'node:path';

type Env = Record<string, string | undefined>;

function home(env: Env): string {
  return env['HOME'] || env['USERPROFILE'] || os.homedir();
}

/** The folder of `config.yaml`. */
export function configFolder(env: Env, platform: NodeJS.Platform): string {
  if (env['VMOP_CONFIG_DIR']) return env['VMOP_CONFIG_DIR'];
  if (platform === 'win32')
    return path.join(env['APPDATA'] || path.join(home(env), 'AppData', 'Roaming'), 'vmop');
  return path.join(env['XDG_CONFIG_HOME'] || path.join(home(env), '.config'), 'vmop');
}

export function cacheFolder(env: Env, platform: NodeJS.Platform): string {
  if (platform === 'win32')
    return path.join(env['LOCALAPPDATA'] || path.join(home(env), 'AppData', 'Local'), 'vmop', 'cache');
  if (platform === 'darwin') return path.join(home(env), 'Library', 'Caches', 'vmop');
  return path.join(env['XDG_CACHE_HOME'] || path.join(home(env), '.cache'), 'vmop');
}
