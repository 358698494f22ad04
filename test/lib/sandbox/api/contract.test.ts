import { after } from 'node:test';
import { startApi, type RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { apiContract } from './contract.ts';

let api: RunningApi | undefined;
after(() => api?.close());

apiContract('embedded API', async () => {
  const token = 'token-of-the-administrator';
  api = await startApi({ tokens: { [token]: { username: 'admin', groups: ['system:masters'] } } });
  return { url: api.url, caPem: api.caPem, token };
});
