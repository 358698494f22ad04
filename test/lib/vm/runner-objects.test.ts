import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  displaySecretSelector,
  isOfEarlierVm,
  vmOfDisplaySecret,
} from '../../../src/lib/vm/runner-objects.ts';

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

test('whose a pod is, its owner tells by its uid', () => {
  const owner = (uid: string, kind = 'VirtualMachine') => ({
    apiVersion: 'g/v1',
    kind,
    name: 'desktop-1',
    uid,
  });
  const cases: [owners: ReturnType<typeof owner>[] | undefined, ofEarlierVm: boolean][] = [
    [undefined, false],
    [[], false],
    [[owner('new')], false],
    [[owner('old')], true],
    [[owner('old'), owner('new')], false],
    [[owner('other', 'ReplicaSet')], false],
  ];
  for (const [ownerReferences, expected] of cases) {
    const metadata = { name: 'desktop-1', ...(ownerReferences ? { ownerReferences } : {}) };
    assert.equal(isOfEarlierVm(metadata, { uid: 'new' }), expected, JSON.stringify(ownerReferences));
  }
});
