import { startApi } from '../../../../src/lib/sandbox/api/index.ts';

/** An API in a process of its own, to be killed: `node api-process.ts DIRECTORY`; prints its URL and CA as JSON. */
const [directory = ''] = process.argv.slice(2);
const api = await startApi({
  directory,
  tokens: { token: { username: 'admin', groups: ['system:masters'] } },
});
process.stdout.write(`${JSON.stringify({ url: api.url, caPem: api.caPem })}\n`);
