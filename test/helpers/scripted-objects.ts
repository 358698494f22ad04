import assert from 'node:assert/strict';
import { asObject } from '../../src/lib/cluster/parse.ts';
import type { Cluster, JsonObject, KubeObject, ObjectRef, Resource } from '../../src/lib/cluster/types.ts';
import {
  DISPLAY_SECRETS,
  findDisplaySecret,
  type DisplaySecret,
} from '../../src/lib/console/secret/display-secret.ts';
import { passwordPatch, type PasswordChange } from '../../src/lib/console/secret/password.ts';
import { RUNNER_PODS } from '../../src/lib/console/reach/runner-pod.ts';
import { EVENTS } from '../../src/lib/vm/events.ts';
import { VMS } from '../../src/lib/vm/parse.ts';
import { GROUP, VERSION, type Vm } from '../../src/lib/vm/types.ts';

const PATIENCE_MS = 30_000;
const KIND = { apiVersion: `${GROUP}/${VERSION}`, kind: 'VirtualMachine' };
const CM_VERSION = 'vmrunner.jdrupes.org/cmVersion';
const DP_VERSION = 'vmrunner.jdrupes.org/dpVersion';

const CONFIG_MAPS: Resource<KubeObject> = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
  parse: (object) => object,
};

/** What stands beside a VM: its runner's pod and ConfigMap, its display Secret, its events. */
export class ScriptedObjects {
  readonly ref: ObjectRef;
  protected readonly admin: Cluster;
  #hasPod = false;
  #touched = 1;

  constructor(admin: Cluster, ref: ObjectRef) {
    this.admin = admin;
    this.ref = ref;
  }

  get name(): string {
    return this.ref.name;
  }

  /** Manager: the runner's pod, whose addresses the kubelet tells later: none yet, where none are given. */
  async pod(...addresses: string[]): Promise<void> {
    const { name } = this.ref;
    const vm = await this.admin.get(VMS, this.ref);
    const port = vm.spec.spice?.port ?? 5900;
    const annotations = { [CM_VERSION]: '1', [DP_VERSION]: '1' };
    await this.admin.create(RUNNER_PODS, this.ref.namespace, {
      metadata: { ...this.#managedMetadata(vm), annotations },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: vm.spec.powerdownTimeoutSeconds + 5,
        containers: [
          {
            name,
            image: 'example.org/runner:4.0.3',
            ports: [{ name: 'spice', containerPort: port, hostPort: port, protocol: 'TCP' }],
            securityContext: { privileged: true },
          },
        ],
      },
    });
    this.#hasPod = true;
    const body = { status: { podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) } };
    if (addresses.length > 0) {
      await this.admin.patch(RUNNER_PODS, this.ref, { type: 'merge', body }, { subresource: 'status' });
    }
  }

  /** Manager: the runner's configuration. */
  async configMap(text: string): Promise<void> {
    const metadata = this.#managedMetadata(await this.admin.get(VMS, this.ref));
    await this.admin.create(CONFIG_MAPS, this.ref.namespace, { metadata, data: { 'config.yaml': text } });
  }

  /** Manager: the configuration anew, from what it knows itself, and the pod's annotation. */
  async configRewritten(text: string): Promise<void> {
    const body = { data: { 'config.yaml': text } };
    await this.admin.patch(CONFIG_MAPS, this.ref, { type: 'merge', body });
    await this.#touch(CM_VERSION);
  }

  /** Manager: the pod's annotation after a write to the Secret, where there is a pod. */
  protected async secretSeen(): Promise<void> {
    await this.#touch(DP_VERSION);
  }

  async #touch(annotation: string): Promise<void> {
    if (!this.#hasPod) return;
    this.#touched += 1;
    const body = { metadata: { annotations: { [annotation]: `after-${this.#touched}` } } };
    await this.admin.patch(RUNNER_PODS, this.ref, { type: 'merge', body });
  }

  /** The pod and the ConfigMap of a VM that is deleted follow it. */
  async ownedGone(): Promise<void> {
    await Promise.allSettled([
      this.admin.delete(RUNNER_PODS, this.ref, { graceSeconds: 0 }),
      this.admin.delete(CONFIG_MAPS, this.ref),
    ]);
    this.#hasPod = false;
  }

  async hasPod(): Promise<boolean> {
    const { items } = await this.admin.list(RUNNER_PODS, { namespace: this.ref.namespace });
    return items.some(({ name }) => name === this.name);
  }

  async configText(): Promise<unknown> {
    const { data } = await this.admin.get(CONFIG_MAPS, this.ref);
    return asObject(data)['config.yaml'];
  }

  async podAnnotations(): Promise<Record<string, string>> {
    return (
      (await this.admin.get({ ...RUNNER_PODS, parse: ({ metadata }) => metadata }, this.ref)).annotations ??
      {}
    );
  }

  /** Runner: an event, whose whole text may be its reason. */
  async event(action: string, reason: string): Promise<void> {
    const { uid, resourceVersion } = await this.admin.get(VMS, this.ref);
    await this.admin.create(EVENTS, this.ref.namespace, {
      metadata: { generateName: `${this.name}-` },
      regarding: { ...KIND, namespace: this.ref.namespace, name: this.name, uid, resourceVersion },
      eventTime: new Date().toISOString().replace('Z', '000Z'),
      reportingController: 'vmoperator.jdrupes.org/vm-runner',
      reportingInstance: this.name,
      type: 'Normal',
      action,
      reason,
    });
  }

  async deleteSecret(): Promise<void> {
    await this.admin.delete(DISPLAY_SECRETS, await this.secretNow());
  }

  /** Of what goes with its VM. */
  #managedMetadata({ name, uid }: Vm): JsonObject {
    return {
      name,
      labels: { ...this.#labels('vm-runner'), 'app.kubernetes.io/managed-by': 'vm-operator' },
      ownerReferences: [{ ...KIND, name, uid, controller: false }],
    };
  }

  #labels(component: string): JsonObject {
    return {
      'app.kubernetes.io/name': 'vm-runner',
      'app.kubernetes.io/component': component,
      'app.kubernetes.io/instance': this.ref.name,
    };
  }

  /** Manager: a display Secret, locked unless said otherwise. `null`: without the key. */
  async secret(
    content: { name?: string; password?: string | null; expiry?: string | null } = {},
  ): Promise<void> {
    const { name = `${this.ref.name}-display-secret`, password = 'of-the-manager', expiry = 'now' } = content;
    const encode = (text: string): string => Buffer.from(text).toString('base64');
    const data = {
      ...(password === null ? {} : { 'display-password': encode(password) }),
      ...(expiry === null ? {} : { 'password-expiry': encode(expiry) }),
    };
    const metadata = { name, labels: this.#labels('display-secret') };
    const secret = await this.admin.create(DISPLAY_SECRETS, this.ref.namespace, { metadata, data });
    // It is taken for one of long ago, whose bump nobody waits for.
    const body = { metadata: { managedFields: [{}] } };
    await this.admin.patch(DISPLAY_SECRETS, secret, { type: 'merge', body });
  }

  async secretNow(): Promise<DisplaySecret> {
    const { secret } = await findDisplaySecret(this.admin, this.ref);
    assert.ok(secret, `${this.ref.name} has a display Secret`);
    return secret;
  }

  /** Another client's write to the Secret. */
  async changeSecret(change: PasswordChange): Promise<void> {
    const secret = await this.secretNow();
    await this.admin.patch(DISPLAY_SECRETS, secret, passwordPatch(secret, change));
  }

  /** Resolves to the Secret as soon as its password is another one than this. */
  async secretAfter(password: string | undefined): Promise<DisplaySecret> {
    const seen = new AbortController();
    const signal = AbortSignal.any([seen.signal, AbortSignal.timeout(PATIENCE_MS)]);
    const { name } = await this.secretNow();
    try {
      for await (const change of this.admin.watch(DISPLAY_SECRETS, {
        namespace: this.ref.namespace,
        signal,
      })) {
        const secrets = change.type === 'synced' ? change.items : [change.item];
        const found = secrets.find((secret) => secret.name === name && secret.password !== password);
        if (found) return found;
      }
    } finally {
      seen.abort();
    }
    throw new Error(`the password of ${this.ref.name} does not change`);
  }
}
