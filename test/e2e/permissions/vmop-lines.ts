import type { Permission } from '../../../src/lib/vm/types.ts';
import type { State } from './world.ts';

/** A command of vmop's for one VM, and who may use it. */
export interface VmopLine {
  args: (vm: string) => string[];
  /** Default: running. */
  state?: State;
  /** All of these are needed; `any`: one of whatever kind; `administrate`: none is enough. */
  needs: readonly Permission[] | 'any' | 'administrate';
  /** The exit code of who may use a console and yet does not hold what is needed. Default: 4. */
  elseWithConsole?: number;
  /** Its standard input. */
  input?: string;
}

/** 0 for who may, 4 for others. */
export function expectedCode({ needs, elseWithConsole = 4 }: VmopLine, held: readonly Permission[]): number {
  const holds = (one: Permission): boolean => held.includes(one);
  const allowed = needs === 'any' ? held.length > 0 : needs !== 'administrate' && needs.every(holds);
  if (allowed) return 0;
  return holds('accessConsole') ? elseWithConsole : 4;
}

const line = (text: string, needs: VmopLine['needs'], rest: Partial<VmopLine> = {}): VmopLine => ({
  args: (vm) => text.split(' ').map((word) => (word === 'VM' ? vm : word)),
  needs,
  ...rest,
});
const used = { state: 'used' } as const;
const set = { input: 'a new password\n' };
const console = 'console VM --file - --tunnel never --timeout 100ms';

/** What is only asked for, and what only reads. */
export const VMOP_LINES: VmopLine[] = [
  line('show VM', 'any'),
  line('permissions list VM', 'any'),
  line('start VM --dry-run', ['start'], { state: 'stopped' }),
  line('stop VM --dry-run', ['stop']),
  line('stop VM --force --dry-run', ['stop']),
  line('restart VM --dry-run', ['stop', 'start']),
  line('reset VM --dry-run', ['reset']),
  line('login VM --user alice --dry-run', ['accessConsole']),
  line('login VM --user alice --dry-run', ['takeConsole'], used),
  line('logout VM --dry-run', ['accessConsole']),
  line('logout VM --dry-run', ['takeConsole'], used),
  line('secret show VM', ['accessConsole']),
  line('secret rotate VM --dry-run', ['accessConsole']),
  line('secret rotate VM --dry-run', ['takeConsole'], used),
  line('secret set VM --dry-run', ['accessConsole'], set),
  line('secret set VM --dry-run', ['takeConsole'], { ...used, ...set }),
  line('secret expire VM --in 5m --dry-run', ['accessConsole']),
  line('secret expire VM --in 5m --dry-run', ['takeConsole'], used),
  line('permissions grant VM --user eve --may start --dry-run', 'administrate'),
  line('permissions revoke VM --user stranger --dry-run', 'administrate'),
];

/** What is done; nobody may take over without saying so, whatever they hold. */
export const CONSOLE_LINES: VmopLine[] = [
  line(console, ['accessConsole']),
  line(console, 'administrate', { ...used, elseWithConsole: 5 }),
  line(`${console} --take`, ['takeConsole'], used),
];
