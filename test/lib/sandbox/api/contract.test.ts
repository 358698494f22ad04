import { after } from 'node:test';
import { startApi, type RunningApi } from '../../../../src/lib/sandbox/api/index.ts';
import { apiContract } from './contract.ts';
import { CONTRACT_RULES, CONTRACT_TOKENS, USER_TOKENS } from './contract-users.ts';

let api: RunningApi | undefined;
after(() => api?.close());

apiContract('embedded API', async () => {
  const token = 'token-of-the-administrator';
  api = await startApi({
    tokens: { ...CONTRACT_TOKENS, [token]: { username: 'admin', groups: ['system:masters'] } },
    rules: CONTRACT_RULES,
    watchHistory: 100,
  });
  return { url: api.url, caPem: api.caPem, token, userTokens: USER_TOKENS };
});
