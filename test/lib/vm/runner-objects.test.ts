import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displaySecretSelector, vmOfDisplaySecret } from '../../../src/lib/vm/runner-objects.ts';

test('the labels name the VM of a display Secret, its name does not matter', () => {
  assert.equal(
    displaySecretSelector('desktop-1'),
    'app.kubernetes.io/name=vm-runner,app.kubernetes.io/component=display-secret,app.kubernetes.io/instance=desktop-1',
  );
});

test('only who carries all labels is a display Secret', () => {
  const labels = {
    'app.kubernetes.io/name': 'vm-runner',
    'app.kubernetes.io/component': 'display-secret',
    'app.kubernetes.io/instance': 'desktop-1',
  };
  assert.equal(vmOfDisplaySecret(labels), 'desktop-1');
  assert.equal(vmOfDisplaySecret({ ...labels, 'app.kubernetes.io/component': 'vm-runner' }), undefined);
  assert.equal(vmOfDisplaySecret({}), undefined);
});
