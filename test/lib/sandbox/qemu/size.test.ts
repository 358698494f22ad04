import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { asInteger, asString } from '../../../../src/lib/cluster/parse.ts';
import { QmpClient } from '../../../../src/lib/sandbox/drivers/qemu/qmp.ts';
import {
  cpuCount,
  isCpuRemoved,
  ramBytes,
  setCpus,
  setRam,
} from '../../../../src/lib/sandbox/drivers/qemu/size.ts';
import { FakeQmp } from './fake-qmp.ts';
import { temporaryFolder } from './machine-log.ts';

const TYPE = 'qemu64-x86_64-cpu';

interface FakeMachine {
  kvm: boolean;
  /** Ids of the CPUs that are plugged in, by their place; the first one cannot be taken out. */
  cpus: (string | undefined)[];
  ram: number;
  /** The guest has a balloon driver. */
  balloon: boolean;
  /** Places that the guest does not let go. */
  held: string[];
}

async function fakeMachine(t: TestContext, machine: FakeMachine): Promise<{ qmp: QmpClient; fake: FakeQmp }> {
  const folder = await temporaryFolder((remove) => t.after(remove));
  const fake = await FakeQmp.listen({
    folder,
    answer(command, args) {
      switch (command) {
        case 'query-kvm':
          return { return: { enabled: machine.kvm, present: true } };
        case 'query-hotpluggable-cpus':
          // QEMU lists the last place first.
          return { return: machine.cpus.map(place).reverse() };
        case 'device_add':
          machine.cpus[asInteger(args['core-id']) ?? -1] = `/machine/peripheral/${asString(args['id'])}`;
          return { return: {} };
        case 'device_del': {
          const path = `/machine/peripheral/${asString(args['id'])}`;
          if (!machine.held.includes(path)) machine.cpus[machine.cpus.indexOf(path)] = undefined;
          return { return: {} };
        }
        case 'balloon':
          if (machine.balloon) machine.ram = asInteger(args['value']) ?? 0;
          return { return: {} };
        case 'query-balloon':
          return { return: { actual: machine.ram } };
        default:
          return { error: { class: 'CommandNotFound', desc: command } };
      }
    },
  });
  const qmp = await QmpClient.connect(fake.socket);
  t.after(async () => {
    qmp.close();
    await fake.close();
  });
  return { qmp, fake };
}

const place = (path: string | undefined, core: number): object => ({
  type: TYPE,
  'vcpus-count': 1,
  props: { 'socket-id': 0, 'core-id': core, 'thread-id': 0 },
  ...(path === undefined ? {} : { 'qom-path': path }),
});

const BOOT = '/machine/unattached/device[0]';
const machine = (change: Partial<FakeMachine> = {}): FakeMachine => ({
  kvm: true,
  cpus: [BOOT, undefined, undefined, undefined],
  ram: 256,
  balloon: true,
  held: [],
  ...change,
});

test('CPUs are plugged into the first free places', async (t) => {
  const { qmp, fake } = await fakeMachine(t, machine());
  assert.equal(await cpuCount(qmp), 1);
  assert.equal(await setCpus(qmp, 3), 3);
  assert.deepEqual(
    fake.commands.filter(([command]) => command === 'device_add').map(([, args]) => args),
    [1, 2].map((core) => ({
      driver: TYPE,
      id: `cpu${core}`,
      'socket-id': 0,
      'core-id': core,
      'thread-id': 0,
    })),
  );
  // No more than there are places for.
  assert.equal(await setCpus(qmp, 99), 4);
});

test('CPUs are taken out from the last one on, never the first', async (t) => {
  const state = machine();
  const { qmp } = await fakeMachine(t, state);
  await setCpus(qmp, 4);
  assert.equal(await setCpus(qmp, 2), 2);
  assert.deepEqual(state.cpus, [BOOT, '/machine/peripheral/cpu1', undefined, undefined]);
  assert.equal(await setCpus(qmp, 0), 1);
});

test('a CPU that the guest holds stays, and no other is asked for', async (t) => {
  const state = machine({ held: ['/machine/peripheral/cpu3'] });
  const { qmp, fake } = await fakeMachine(t, state);
  await setCpus(qmp, 4);
  assert.equal(await setCpus(qmp, 1, { unplugMs: 1 }), 4);
  assert.deepEqual(
    fake.commands.filter(([command]) => command === 'device_del').map(([, args]) => args),
    [{ id: 'cpu3' }],
  );
});

test('without KVM no CPU is taken out: QEMU would die of it', async (t) => {
  const { qmp, fake } = await fakeMachine(t, machine({ kvm: false }));
  await setCpus(qmp, 4);
  assert.equal(await setCpus(qmp, 2), 4);
  assert.equal(
    fake.commands.some(([command]) => command === 'device_del'),
    false,
  );
});

test('memory goes through the balloon, at most to the maximum', async (t) => {
  const { qmp, fake } = await fakeMachine(t, machine());
  assert.equal(await setRam(qmp, 128, 256), 128);
  assert.equal(await setRam(qmp, 999, 256), 256);
  assert.deepEqual(fake.commands.find(([command]) => command === 'balloon')?.[1], { value: 128 });
  assert.equal(await ramBytes(qmp, 256), 256);
});

test('a guest without a balloon driver keeps its memory', async (t) => {
  const { qmp } = await fakeMachine(t, machine({ balloon: false }));
  assert.equal(await setRam(qmp, 128, 256, { stallMs: 1 }), 256);
});

test('the removal of a CPU is told from that of its parts', () => {
  assert.equal(
    isCpuRemoved({ name: 'DEVICE_DELETED', data: { device: 'cpu2', path: '/machine/peripheral/cpu2' } }),
    true,
  );
  assert.equal(
    isCpuRemoved({ name: 'DEVICE_DELETED', data: { path: '/machine/peripheral/cpu2/lapic' } }),
    false,
  );
  assert.equal(isCpuRemoved({ name: 'RESET', data: { device: 'cpu2' } }), false);
});
