import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';

/**
 * What is to be done when this process is killed (-9). A shell waits for the end of a pipe that only this process holds:
 * it needs 1 MB, and no signal that ends our own clean-up reaches it.
 */
export interface KillGuard {
  /**
   * End the group that this process leads with `TERM`, and after 2 s with `KILL`, or at once with that. The result takes it back, for its
   * number will be another process's.
   */
  watchProcess(pid: number, signal?: 'TERM' | 'KILL'): () => void;
  /** Remove this folder; its name is one of `mkdtemp`. */
  watchFolder(folder: string): void;
  /** There is a console's session, so that the command is to be run; `detail` becomes its last argument. */
  session(detail: string): void;
  /** All is tidy: nothing is to be done. */
  dismiss(): void;
}

const SCRIPT = `
line_end='
'
processes=' ' folders= session=
while IFS= read -r line; do
  case $line in
    'process '*) processes="$processes\${line#process } " ;;
    'forget '*)
      one=\${line#forget }
      case $processes in
        *" $one "*) processes="\${processes%% $one *} \${processes#* $one }" ;;
      esac
      ;;
    'folder '*) folders="$folders\${line#folder }$line_end" ;;
    'session '*) session=\${line#session } ;;
    dismiss) exit 0 ;;
  esac
done
set -f
for one in $processes; do kill "-\${one%%:*}" "-\${one#*:}"; done
IFS=$line_end
for one in $folders; do rm -rf -- "$one"; done
IFS=' '
turns=20
while [ $turns -gt 0 ]; do
  alive=
  for one in $processes; do kill -0 "-\${one#*:}" && alive=1; done
  [ -n "$alive" ] || break
  turns=$((turns - 1))
  sleep 0.1
done
for one in $processes; do kill -KILL "-\${one#*:}"; done
[ -z "$session" ] || [ $# -eq 0 ] || exec "$@" "$session"
`;

const nothing = (): void => {};
const NO_GUARD: KillGuard = {
  watchProcess: () => nothing,
  watchFolder: nothing,
  session: nothing,
  dismiss: nothing,
};

/**
 * Starts the guard; on Windows, and where there is no shell, there is none. `command` is run last, after a session, with
 * this process's environment; without one nothing is.
 */
export function startKillGuard(command: readonly string[] = []): KillGuard {
  if (process.platform === 'win32') return NO_GUARD;
  // A group of its own: Ctrl-C in the terminal is not for it.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'vmop-guard', ...command], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without a shell nobody guards, and what is guarded is none the worse.
  shell.on('error', () => {});
  shell.unref();
  return new ShellGuard(shell);
}

class ShellGuard implements KillGuard {
  readonly #shell: ChildProcess;

  constructor(shell: ChildProcess) {
    this.#shell = shell;
    shell.stdin?.on('error', () => {});
  }

  watchProcess(pid: number, signal: 'TERM' | 'KILL' = 'TERM'): () => void {
    this.#tell(`process ${signal}:${pid}`);
    return () => this.#tell(`forget ${signal}:${pid}`);
  }

  watchFolder(folder: string): void {
    if (path.isAbsolute(folder) && !folder.includes('\n')) this.#tell(`folder ${folder}`);
  }

  session(detail: string): void {
    this.#tell(`session ${detail.replaceAll(/[^ -~]/g, '?')}`);
  }

  dismiss(): void {
    this.#shell.stdin?.end('dismiss\n');
  }

  #tell(line: string): void {
    this.#shell.stdin?.write(`${line}\n`);
  }
}
