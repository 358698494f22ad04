import { after, before, describe } from 'node:test';
import { TestClient, type ApiTarget } from './client.ts';
import { accessContract } from './contract-access.ts';
import { coreContract } from './contract-core.ts';
import { dryRunContract } from './contract-dry-run.ts';
import { historyContract } from './contract-history.ts';
import { listContract } from './contract-lists.ts';
import { managerContract } from './contract-managers.ts';
import { patchContract } from './contract-patches.ts';
import { ruleContract } from './contract-rules.ts';
import { watchContract } from './contract-watches.ts';
import { wireContract } from './contract-wire.ts';
import { writeContract } from './contract-writes.ts';
import { Fixture } from './fixture.ts';

/**
 * What vmop and the operator count on in a Kubernetes API with VM-Operator's kinds: one suite for the embedded API and
 * for a real kube-apiserver (with the kinds of `customResourceDefinitions`, and pods that need no service account), both
 * with the users and rules of contract-users.ts. Works in a namespace of its own.
 */
export function apiContract(name: string, open: () => Promise<ApiTarget>): void {
  describe(name, () => {
    const fixture = new Fixture();
    before(async () => {
      await fixture.open(new TestClient(await open()));
    });
    after(() => fixture.close());
    wireContract(fixture);
    writeContract(fixture);
    dryRunContract(fixture);
    coreContract(fixture);
    patchContract(fixture);
    managerContract(fixture);
    listContract(fixture);
    watchContract(fixture);
    accessContract(fixture);
    ruleContract(fixture);
    historyContract(fixture);
  });
}
