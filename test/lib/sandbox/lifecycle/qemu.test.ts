import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { findQemu } from '../../../../src/lib/sandbox/drivers/qemu/find.ts';
import { identifyProcess } from '../../../../src/lib/sandbox/process-identity.ts';
import { VMS } from '../../../../src/lib/vm/parse.ts';
import { condition, holds } from '../../../../src/lib/vm/state.ts';
import { killProcess, TestLifecycle, waitForVm } from './sandbox.ts';

/** The processes of the machines. */
async function machines(folder: string): Promise<number[]> {
  const names = await readdir(path.join(folder, 'm'));
  const files = names.map((name) =>
    readFile(path.join(folder, 'm', name, 'qemu.pid'), 'utf8').catch(() => ''),
  );
  return (await Promise.all(files)).filter((text) => text !== '').map(Number);
}

test('real machines outlive kill -9 of the sandbox, are taken over by the next, and end with it', async (t) => {
  const qemu = await findQemu(process.env);
  if ('missing' in qemu) return t.skip(qemu.missing);
  const sandbox = await TestLifecycle.create(t);
  // Nothing to boot: the firmware runs, and that is enough.
  const image = path.join(path.dirname(sandbox.folder), 'empty.img');
  await writeFile(image, Buffer.alloc(1024 * 1024));
  const { pid = 0, driver } = await sandbox.start({ driver: 'qemu', image });
  assert.deepEqual(driver?.guest, { description: `disk image ${image}`, image });
  const ref = { namespace: 'default', name: 'desktop-1' };
  await sandbox.cluster(t).patch(VMS, ref, { type: 'merge', body: { spec: { vm: { state: 'Running' } } } });
  const before = await waitForVm(
    sandbox.cluster(t),
    'desktop-1',
    (vm) => vm.status.displayPasswordSerial === 1,
  );
  const [machine = 0] = await machines(sandbox.folder);

  await killProcess(pid);
  assert.ok(await identifyProcess(machine));
  const again = await sandbox.start({ driver: 'qemu', image });
  assert.equal(again.alreadyRunning, false);
  // The runner sets the display's password anew, which counts.
  const after = await waitForVm(
    sandbox.cluster(t),
    'desktop-1',
    (vm) => vm.status.displayPasswordSerial === 2,
  );
  assert.deepEqual(await machines(sandbox.folder), [machine]);
  assert.ok(holds(after, 'Running'));
  assert.deepEqual(condition(after, 'Running'), condition(before, 'Running'));

  await sandbox.stop();
  assert.equal(await identifyProcess(machine), undefined);
  const left = await readdir(path.join(sandbox.folder, 'm'), { recursive: true });
  assert.deepEqual(
    left.filter((name) => name.endsWith('.sock') || name.endsWith('.pid')),
    [],
  );
  return undefined;
});
