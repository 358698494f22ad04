import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { after, before, describe, test, type TestContext } from 'node:test';
import { asArray, asObject, parseJson } from '../../../../src/lib/cluster/parse.ts';
import type { RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { findKubectl } from '../../../helpers/kubectl.ts';
import { sandboxApis } from '../../../helpers/sandbox-apis.ts';
import { pick } from './client.ts';
import { GROUP, vm } from './fixture.ts';

const QUALIFIED = `virtualmachine.${GROUP}`;

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** The real kubectl. */
for (const server of await sandboxApis()) {
  describe(`kubectl against ${server.name}`, { skip: server.skip }, () => {
    let api: RunningApi;
    let folder: string;
    let binary = '';
    let reason: string | undefined;

    before(async () => {
      const found = await findKubectl();
      if ('path' in found) binary = found.path;
      else reason = found.reason;
      folder = await mkdtemp(join(tmpdir(), 'vmop-kubectl-'));
      api = await server.startApi({
        directory: undefined,
        port: undefined,
        onFailure: (error) => assert.fail(error),
        tokens: {
          'admin-token': { username: 'admin', groups: ['system:masters'] },
          'alice-token': { username: 'alice', groups: ['staff'] },
        },
        rules: [
          {
            subjects: { groups: ['staff'] },
            verbs: ['get', 'list', 'watch'],
            apiGroups: [GROUP],
            resources: ['vms'],
            namespaces: ['default'],
          },
        ],
        podLog: async (_namespace, name, { follow }) => {
          if (follow === true) return Readable.from(['first line\n', 'then another\n']);
          return name === 'runner' ? 'first line\nsecond line\n' : undefined;
        },
      });
      await writeFile(join(folder, 'config'), JSON.stringify(kubeconfig(api)));
    });
    after(async () => {
      await api.close();
      await rm(folder, { recursive: true, force: true });
    });

    const environment = (): NodeJS.ProcessEnv => ({
      PATH: process.env['PATH'],
      // Its discovery cache goes there, too.
      HOME: folder,
      KUBECONFIG: join(folder, 'config'),
      KUBE_EDITOR: "sed -i 's/maximumCpus: .*/maximumCpus: 7/'",
    });

    const run = (args: string[], input?: unknown): Promise<Outcome> =>
      new Promise((resolve) => {
        const child = execFile(
          binary,
          args,
          { env: environment(), timeout: 60_000 },
          (error, stdout, stderr) => {
            resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
          },
        );
        child.stdin?.end(input === undefined ? undefined : JSON.stringify(input));
      });

    /** Its output, when it succeeds as it must. */
    const kubectl = async (args: string[], input?: unknown): Promise<string> => {
      const { code, stdout, stderr } = await run(args, input);
      assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
      return stdout;
    };

    const check = (name: string, body: (t: TestContext) => Promise<void>, skip?: string): void => {
      test(name, { skip }, async (t) => {
        if (reason === undefined) await body(t);
        else t.skip(reason);
      });
    };

    check('discovers what there is', async () => {
      assert((await kubectl(['api-versions'])).split('\n').includes(`${GROUP}/v1`));
      const resources = await kubectl(['api-resources', '--api-group', GROUP, '--no-headers']);
      assert.match(
        resources,
        /^vmpools +vmoperator\.jdrupes\.org\/v1 +true +VmPool\nvms +\S+ +true +VirtualMachine\n$/,
      );
      assert.match(await kubectl(['version']), /Server Version: v1\.3[56]/);
      assert.equal(await kubectl(['get', '--raw', '/readyz']), 'ok');
    });

    check('explains the kinds of VM-Operator', async () => {
      const vms = await kubectl(['explain', 'vm.spec.vm']);
      assert.match(vms, /^GROUP: +vmoperator\.jdrupes\.org\nKIND: +VirtualMachine\nVERSION: +v1\n/);
      assert.match(vms, /^FIELD: vm <Object>$/m);
      assert.match(vms, /^ {2}maximumCpus\t<integer>$/m);
      assert.match(vms, /^ {2}cpuTopology\t<Object>$/m);
      const spec = await kubectl(['explain', 'vm.spec', '--recursive']);
      for (const name of ['image', 'affinity', 'cloudInit', 'resources']) {
        assert.match(spec, new RegExp(`^ {2}${name}\t<Object>`, 'm'));
      }
      assert.match(spec, /^ {4}networkConfig\t<Object>$/m);
      assert.match(await kubectl(['explain', 'vmpool', '--recursive']), /^ {2}spec\t<Object>/m);
    });

    check('creates and gets in all formats', async () => {
      assert.equal(await kubectl(['create', '-f', '-'], vm('desktop-1')), `${QUALIFIED}/desktop-1 created\n`);
      const [header, row] = (await kubectl(['get', 'vms'])).split('\n');
      assert.match(header ?? '', /^NAME +STATE +RUNNING +CONSOLE USER +LOGGED IN +AGE$/);
      assert.match(row ?? '', /^desktop-1 +Stopped +False +\d+s$/);
      assert.match(
        await kubectl(['get', 'vm', '-A', '-o', 'wide']),
        /^NAMESPACE +NAME .* BOOTED +AGE\ndefault +desktop-1/,
      );
      assert.equal(await kubectl(['get', 'vms', '-o', 'name']), `${QUALIFIED}/desktop-1\n`);
      const json = parseJson(await kubectl(['get', 'vm', 'desktop-1', '-o', 'json']));
      assert.equal(pick(json, 'spec.vm.maximumCpus'), 2);
      assert.match(
        await kubectl(['get', 'vm/desktop-1', '-o', 'yaml']),
        /^apiVersion: vmoperator\.jdrupes\.org\/v1\nkind: VirtualMachine\n/,
      );
      assert.match(await kubectl(['get', 'vms', '--sort-by', '.metadata.name']), /desktop-1/);
      const missing = await run(['get', 'vm', 'nothing']);
      assert.match(
        missing.stderr,
        /^Error from server \(NotFound\): vms\.vmoperator\.jdrupes\.org "nothing" not found/,
      );
      const invalid = await run(
        ['create', '-f', '-'],
        vm('wrong', { vm: { maximumCpus: 2, state: 'Paused' } }),
      );
      assert.match(
        invalid.stderr,
        /The VirtualMachine "wrong" is invalid: spec\.vm\.state: Unsupported value: "Paused"/,
      );
    });

    check('applies, on its own side and on the server', async () => {
      const own = (cpus: number) =>
        vm('applied', { vm: { maximumCpus: cpus }, extra: cpus === 1 ? { a: 1 } : {} });
      const words: string[] = [];
      for (const [cpus, ...more] of [
        [1],
        [2],
        [2],
        [3, '--server-side', '--force-conflicts'],
        [3, '--server-side'],
      ] as const) {
        words.push(
          (await kubectl(['apply', '-f', '-', ...more], own(cpus))).trim().split(' ').slice(1).join(' '),
        );
      }
      assert.deepEqual(words, [
        'created',
        'configured',
        'unchanged',
        'serverside-applied',
        'serverside-applied',
      ]);
      const stored = parseJson(await kubectl(['get', 'vm', 'applied', '-o', 'json']));
      assert.deepEqual([pick(stored, 'spec.vm.maximumCpus'), pick(stored, 'spec.extra')], [3, {}]);
      const dry = await kubectl(['apply', '-f', '-', '--dry-run=server'], own(4));
      assert.match(dry, /configured \(server dry run\)/);
      const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'core' }, data: { a: 'b' } };
      await kubectl(['apply', '-f', '-'], configMap);
      assert.match(await kubectl(['apply', '-f', '-'], { ...configMap, data: { c: 'd' } }), /configured/);
      const data = parseJson(await kubectl(['get', 'cm', 'core', '-o', 'jsonpath={.data}']));
      assert.deepEqual(data, { c: 'd' });
    });

    check('patches, labels, edits and replaces', async () => {
      await kubectl(['create', '-f', '-'], vm('patched'));
      const patch = (type: string, body: unknown): Promise<Outcome> =>
        run(['patch', 'vm', 'patched', '--type', type, '-p', JSON.stringify(body)]);
      assert.equal((await patch('merge', { spec: { vm: { state: 'Running' } } })).code, 0);
      const operations = [{ op: 'replace', path: '/spec/vm/state', value: 'Stopped' }];
      assert.equal((await patch('json', operations)).code, 0);
      assert.match((await patch('strategic', {})).stderr, /strategic-merge-patch\+json is not supported/);
      assert.match(await kubectl(['label', 'vm', 'patched', 'a=b']), /labeled/);
      assert.match(await kubectl(['annotate', 'vm', 'patched', 'a=b']), /annotated/);
      assert.match(await kubectl(['edit', 'vm', 'patched']), /edited/);
      const stored = asObject(parseJson(await kubectl(['get', 'vm', '-l', 'a=b', '-o', 'json'])));
      const [item] = asArray(stored['items']).map(asObject);
      assert.equal(pick(item, 'spec.vm.maximumCpus'), 7);
      assert.match(
        await kubectl(['replace', '-f', '-'], { ...item, spec: { vm: { maximumCpus: 1 } } }),
        /replaced/,
      );
      assert.match((await run(['replace', '-f', '-'], item)).stderr, /the object has been modified/);
      const status = JSON.stringify({ status: { consoleUser: 'alice' } });
      await kubectl(['patch', 'vm', 'patched', '--subresource', 'status', '--type', 'merge', '-p', status]);
      assert.match(await kubectl(['get', 'vm', 'patched']), /alice/);
    });

    check('deletes, and waits until it is so', async () => {
      await kubectl(['create', '-f', '-'], vm('deleted'));
      assert.match(await kubectl(['delete', 'vm', 'deleted']), /"deleted" deleted/);
      assert.equal((await run(['get', 'vm', 'deleted'])).code, 1);
      assert.equal(await kubectl(['delete', 'vm', 'deleted', '--ignore-not-found']), '');
    });

    check('watches', async () => {
      const watcher = spawn(binary, ['get', 'vms', '-w', '--no-headers', '-l', 'watched'], {
        env: environment(),
      });
      const lines = createInterface({ input: watcher.stdout })[Symbol.asyncIterator]();
      const next = async (): Promise<string> => String((await lines.next()).value);
      try {
        // The first one tells that the watch is under way, whichever way it comes.
        await kubectl(['create', '-f', '-'], vm('watched', {}, { labels: { watched: '' } }));
        assert.match(await next(), /^watched +Stopped/);
        await kubectl([
          'patch',
          'vm',
          'watched',
          '--type',
          'merge',
          '-p',
          '{"spec":{"vm":{"state":"Running"}}}',
        ]);
        assert.match(await next(), /^watched +Running/);
      } finally {
        watcher.kill();
        if (watcher.exitCode === null && watcher.signalCode === null) await once(watcher, 'exit');
      }
      const waiting = kubectl([
        'wait',
        'vm/watched',
        '--for',
        'jsonpath={.spec.marked}=yes',
        '--timeout',
        '30s',
      ]);
      await kubectl(['patch', 'vm', 'watched', '--type', 'merge', '-p', '{"spec":{"marked":"yes"}}']);
      assert.match(await waiting, /condition met/);
    });

    check('describes a VM with its events', async () => {
      const uid = await kubectl(['create', '-f', '-', '-o', 'jsonpath={.metadata.uid}'], vm('described'));
      const event = {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: 'described.1', namespace: 'default' },
        eventTime: new Date().toISOString().replace('Z', '000Z'),
        reportingController: 'vmoperator.jdrupes.org/vm-runner',
        reportingInstance: 'described',
        action: 'StatusUpdate',
        reason: 'VmStarted',
        type: 'Normal',
        note: 'The machine runs',
        regarding: {
          apiVersion: `${GROUP}/v1`,
          kind: 'VirtualMachine',
          name: 'described',
          namespace: 'default',
          uid,
        },
      };
      await kubectl(['create', '-f', '-'], event);
      const description = await kubectl(['describe', 'vm', 'described']);
      assert.match(description, /^Name: +described\nNamespace: +default\n/);
      assert.match(description, /Normal +VmStarted .* The machine runs/);
      assert.match(
        await kubectl(['get', 'events']),
        /Normal +VmStarted +virtualmachine\/described +The machine runs/,
      );
      assert.match(await kubectl(['events', '--for', 'vm/described']), /VmStarted/);
    });

    check(
      'reads logs',
      async () => {
        const pod = (name: string): unknown => ({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name },
          spec: { nodeName: 'sandbox', containers: [{ name, image: 'none' }] },
        });
        await kubectl(['create', '-f', '-'], pod('runner'));
        await kubectl(['create', '-f', '-'], pod('silent'));
        assert.equal(await kubectl(['logs', 'runner']), 'first line\nsecond line\n');
        assert.equal(await kubectl(['logs', 'runner', '--tail', '1']), 'second line\n');
        assert.equal(await kubectl(['logs', 'runner', '-f']), 'first line\nthen another\n');
        assert.match((await run(['logs', 'silent'])).stderr, /NotFound/);
        assert.match(
          await kubectl(['get', 'pods']),
          /^NAME +READY +STATUS +RESTARTS +AGE\nrunner +0\/1 +Pending +0 /,
        );
      },
      server.noKubelet,
    );

    check('says who one is and what one may do', async () => {
      assert.match(
        await kubectl(['auth', 'whoami', '--context', 'alice']),
        /Username +alice\nGroups +\[staff system:authenticated\]/,
      );
      const can = async (...args: string[]): Promise<string> =>
        (await run(['auth', 'can-i', '--context', 'alice', ...args])).stdout.trim();
      assert.deepEqual([await can('list', 'vms'), await can('delete', 'vms')], ['yes', 'no']);
      assert.match(await can('--list'), /vms\.vmoperator\.jdrupes\.org +\[\] +\[\] +\[get list watch\]/);
      const { stderr } = await run(['get', 'secrets', '--context', 'alice']);
      assert.match(stderr, /secrets is forbidden: User "alice" cannot list resource "secrets"/);
      assert.match((await run(['get', 'secrets', '--as', 'bob'])).stderr, /User "bob"/);
    });

    check('makes what it sends in the binary form', async () => {
      await kubectl(['create', 'namespace', 'made']);
      await kubectl(['create', 'secret', 'generic', 'word', '-n', 'made', '--from-literal', 'a=b']);
      assert.equal(
        await kubectl(['get', 'secret', 'word', '-n', 'made', '-o', 'jsonpath={.data.a}']),
        'Yg==',
      );
      await kubectl(['create', 'configmap', 'map', '-n', 'made', '--from-literal', 'a=b']);
      // The real API server needs a controller, which the sandbox has not, to end a namespace.
      assert.match(await kubectl(['delete', 'namespace', 'made', '--wait=false']), /deleted/);
    });
  });
}

function kubeconfig({ url, caPem }: RunningApi): unknown {
  const names = ['admin', 'alice'];
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'admin',
    clusters: [
      {
        name: 'embedded',
        cluster: { server: url, 'certificate-authority-data': Buffer.from(caPem).toString('base64') },
      },
    ],
    users: names.map((name) => ({ name, user: { token: `${name}-token` } })),
    contexts: names.map((name) => ({
      name,
      context: { cluster: 'embedded', user: name, namespace: 'default' },
    })),
  };
}
