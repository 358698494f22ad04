import assert from 'node:assert/strict';
import {
  DISPLAY_SECRETS,
  findDisplaySecret,
  type DisplaySecret,
} from '../../src/lib/console/secret/display-secret.ts';
import { passwordPatch, type PasswordChange } from '../../src/lib/console/secret/password.ts';
import { phaseOf } from '../../src/lib/vm/state.ts';
import { commandSuite } from './suite.ts';

/** A password that a person chose. */
export const MY_OWN = 'correct horse/battery=staple';
const running = { spec: { vm: { state: 'Running' } } };

/** VMs whose display Secrets are as different as they can be. */
export const suite = commandSuite(
  {
    vms: [
      { name: 'a1', ...running },
      { name: 'a2', ...running },
      { name: 'foreign' },
      { name: 'held', spec: { vm: { state: 'Running', currentCpus: 1 } } },
      { name: 'never' },
      { name: 'off', ...running },
      { name: 'open', spec: { vm: { state: 'Running', display: { spice: { generateSecret: false } } } } },
      { name: 'open-off', spec: { vm: { display: { spice: { generateSecret: false } } } } },
      { name: 'refuses', ...running, annotations: { 'sandbox.vmop/password': 'refuse' } },
    ],
  },
  async (sandbox) => {
    await createSecret('foreign', 'chosen-by-somebody');
    await sandbox.patchSpec('foreign', { vm: { state: 'Running' } });
    for (const name of ['a1', 'a2', 'foreign', 'off', 'open', 'refuses']) {
      await sandbox.waitFor(name, ({ status }) => (status.displayPasswordSerial ?? 0) !== 0);
    }
    await sandbox.patchSpec('off', { vm: { state: 'Stopped' } });
    await sandbox.waitFor('off', (vm) => phaseOf(vm) === 'stopped');
  },
);
export const ref = (name: string) => ({ namespace: 'default', name });

/** The VM's display Secret. */
export async function secretOf(name: string): Promise<DisplaySecret> {
  const { secret } = await findDisplaySecret(suite.sandbox.admin, ref(name));
  assert.ok(secret, `${name} has a Secret`);
  return secret;
}

/** Writes into the VM's display Secret, as somebody else would. */
export async function store(name: string, change: PasswordChange): Promise<void> {
  const secret = await secretOf(name);
  await suite.sandbox.admin.patch(DISPLAY_SECRETS, secret, passwordPatch(secret, change));
}

/** A display Secret of any name. */
export async function createSecret(vm: string, name: string): Promise<void> {
  const labels = {
    'app.kubernetes.io/name': 'vm-runner',
    'app.kubernetes.io/component': 'display-secret',
    'app.kubernetes.io/instance': vm,
  };
  const data = { 'display-password': Buffer.from(MY_OWN).toString('base64') };
  await suite.sandbox.admin.create(DISPLAY_SECRETS, 'default', { metadata: { name, labels }, data });
}

/** In seconds. */
export const epoch = (): number => Date.now() / 1000;
