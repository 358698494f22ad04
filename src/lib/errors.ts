/** Exit codes that scripts depend on; they never change their meaning (README.md, "Exit codes"). */
export const EXIT = {
  failed: 1,
  usage: 2,
  notFound: 3,
  forbidden: 4,
  conflict: 5,
  timeout: 6,
  unreachable: 7,
  state: 8,
  console: 9,
  guest: 10,
  interrupted: 130,
  terminated: 143,
} as const;

export type ErrorCode = keyof typeof EXIT;

export interface ErrorDetails {
  /** What the person can do next: a sentence, or a command to run. */
  hint?: string | undefined;
  /** The VM that failed, when one did. */
  vm?: string | undefined;
  /** What else `--json` tells. */
  more?: Readonly<Record<string, unknown>> | undefined;
  cause?: unknown;
}

/** What `--json` prints for an error. */
export interface ErrorJson {
  code: ErrorCode;
  exitCode: number;
  message: string;
  hint?: string;
  vm?: string;
}

/** The one error that reaches a person: what failed and why (`message`), what to do next (`hint`), exit code. */
export class VmopError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly vm: string | undefined;
  readonly more: Readonly<Record<string, unknown>> | undefined;
  /** oclif reads `exitCode` in JSON mode and `oclif.exit` in text mode. */
  readonly exitCode: number;
  readonly oclif: { exit: number };

  constructor(code: ErrorCode, message: string, { hint, vm, more, cause }: ErrorDetails = {}) {
    super(message, { cause });
    this.name = 'VmopError';
    this.code = code;
    this.hint = hint;
    this.vm = vm;
    this.more = more;
    this.exitCode = EXIT[code];
    this.oclif = { exit: EXIT[code] };
  }

  toJSON(): ErrorJson {
    return {
      ...this.more,
      code: this.code,
      exitCode: this.exitCode,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...(this.vm === undefined ? {} : { vm: this.vm }),
    };
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
