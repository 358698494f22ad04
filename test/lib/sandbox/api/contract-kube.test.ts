import { after, test } from 'node:test';
import { findKubeBinaries, startKubeApiserver, type KubeApiserver } from '../../../helpers/kube-apiserver.ts';
import { apiContract } from './contract.ts';
import { CONTRACT_RULES, CONTRACT_TOKENS, USER_TOKENS } from './contract-users.ts';

const binaries = await findKubeBinaries();
let api: KubeApiserver | undefined;
after(() => api?.close());

if ('reason' in binaries) test('kube-apiserver', { skip: binaries.reason }, () => {});
else {
  apiContract('kube-apiserver', async () => {
    api = await startKubeApiserver({
      tokens: CONTRACT_TOKENS,
      rules: CONTRACT_RULES,
      args: ['--etcd-compaction-interval=5s'],
    });
    return { url: api.url, caPem: api.caPem, token: api.adminToken, userTokens: USER_TOKENS };
  });
}
