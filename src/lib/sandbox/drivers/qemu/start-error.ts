import { VmopError } from '../../../errors.ts';

/** The last line that says something, shortened. */
export function lastWords(log: string): string | undefined {
  return log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .at(-1)
    ?.slice(0, 300);
}

export interface FailedStart {
  name: string;
  /** Everything that QEMU wrote. */
  log: string;
  spicePort: number | undefined;
}

/** What a person is told when QEMU ends before its machine is there. */
export function startError({ name, log, spicePort }: FailedStart): VmopError {
  const said = lastWords(log);
  if (spicePort !== undefined && /binding socket to .* failed/.test(log)) {
    return new VmopError('failed', `the SPICE port ${spicePort} of ${name} is in use (QEMU: ${said})`, {
      hint: 'end what listens on that port, or choose another one in spec.vm.display.spice.port',
    });
  }
  if (/spice/i.test(log) && /invalid option|not supported|not available|no option group/i.test(log)) {
    return new VmopError('failed', `this QEMU cannot do SPICE: ${said}`, {
      hint: 'install its SPICE module (Debian: qemu-system-modules-spice)',
    });
  }
  return new VmopError('failed', `QEMU could not start ${name}: ${said ?? 'it ended without a word'}`, {
    hint: 'the machine folder has the full text in qemu.log',
  });
}
