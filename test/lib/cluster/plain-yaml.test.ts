import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readPlainYaml } from '../../../src/lib/cluster/plain-yaml.ts';

const KUBECTL = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTi+BDR/VJUSUZJQ0FURS0tLS0tCg==
    server: https://127.0.0.1:6443
  name: kind-kind
# a comment
contexts:
- context:
    cluster: kind-kind
    namespace: desktops
    user: kind-kind
  name: kind-kind
current-context: kind-kind
kind: Config
preferences: {}
users:
- name: kind-kind
  user:
    client-certificate-data: LS0tLS1CRUdJTg==
    token: 'it''s #1'
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - get-token
      - --oidc-issuer-url=https://issuer.example.org/a
      command: kubectl
      env: null
      interactiveMode: IfAvailable
      provideClusterInfo: false
`;

const PLAIN: Record<string, string> = {
  'what kubectl writes': KUBECTL,
  'lists that are indented': 'users:\n  - name: a\n    user:\n      token: "x\\n\\"y\\""\n  - name: b\n',
  'lists in lists': 'a:\n- - b\n  - c\n- d\n',
  'keys without a value': 'a:\nb:\n  c:\nd:\n',
  words: 'a: true\nb: false\nc: null\nd: []\ne: truely\nf: /path/to.pem\n',
  'JSON strings': 'a: "b: c # d"\n',
};

for (const [name, text] of Object.entries(PLAIN)) {
  test(`reads ${name}`, () => {
    const plain: unknown = readPlainYaml(text);
    const whole: unknown = parse(text);
    assert.deepEqual(plain, whole);
    assert.notEqual(plain, undefined);
  });
}

for (const text of [
  'a: 1',
  'a: 0x1f',
  'a: 1e3',
  'a: ~',
  'a: True',
  'a: yes',
  'a: .inf',
  'a: -1',
  'a: 2026-01-01',
  'a: b c',
  'a: b # c',
  'a: b:',
  'a: |\n  b',
  'a: >-\n  b',
  'a: b\n  c',
  "a: 'b",
  "a: 'b' 'c'",
  'a: "\\x41"',
  'a: "b\n  c"',
  'a: &x b\nc: *x',
  'a: !!str b',
  'a: {b: c}',
  'a: [b]',
  'a: b\na: c',
  'a:b',
  'a :b',
  '? a\n: b',
  '<<: a',
  '__proto__: a',
  'null: a',
  '- a\nb: c',
  'a:\n  b: c\n d: e',
  'a: b\n c: d',
  'a:\n-\n  b: c',
  '---\na: b',
  'a: b\n---\nc: d',
  '%YAML 1.2\n---\na: b',
  'a:\tb',
  '\ta: b',
  'a: b\r\n',
  'a: \u00e4',
  '\ufeffa: b',
  '{"a": "b"}',
  '"a": b',
  '',
]) {
  test(`leaves ${JSON.stringify(text)} to a whole parser`, () => {
    assert.equal(readPlainYaml(text), undefined);
  });
}
