import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The folder of the sandbox of this user: `$VMOP_SANDBOX_DIR`, else below the XDG state folder. */
export function sandboxFolder(env: Record<string, string | undefined>): string {
  if (env['VMOP_SANDBOX_DIR']) return path.resolve(env['VMOP_SANDBOX_DIR']);
  const home = env['HOME'] || env['USERPROFILE'] || os.homedir();
  return path.join(env['XDG_STATE_HOME'] || path.join(home, '.local', 'state'), 'vmop', 'sandbox');
}

/** The kubeconfig of the sandbox on this machine; undefined when none runs (`daemon.json` is there while it does). */
export function sandboxKubeconfig(env: Record<string, string | undefined>): string | undefined {
  const folder = sandboxFolder(env);
  const file = path.join(folder, 'kubeconfig');
  return existsSync(path.join(folder, 'daemon.json')) && existsSync(file) ? file : undefined;
}
