import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { agentRefusal, redactPasswords, RunnerLog } from '../../../src/lib/vm/runner-log.ts';
import { openTestCluster } from '../cluster/fixture.ts';
import { reply, startScriptedServer, type Reply, type ScriptedServer } from '../cluster/scripted-server.ts';

describe('the refusal of the guest’s agent, as the runner logs it (trap 2)', () => {
  const cases: [line: string, refusal: string | undefined][] = [
    ['Error response from vmop agent: 504 Cannot log in root', '504 Cannot log in root'],
    ['2026-07-01T10:00:00.123456789Z WARNING: Error response from vmop agent: 451 Failed  ', '451 Failed'],
    [
      '2026-07-01T10:00:00.123456789Z Jul 01, 2026 10:00:00 AM x.y.Z warn: Error response from vmop agent: 451',
      '451',
    ],
    ['error response from VMOP agent: 404 none', '404 none'],
    ['Error response from vmop agent: 102 desktop stopped', undefined],
    ['Error response from vmop agent: 5045 x', undefined],
    ['Error response from vmop agent:', undefined],
    ['vmop agent: 504 x', undefined],
    ['504 Cannot log in root', undefined],
    ['', undefined],
  ];
  for (const [line, refusal] of cases) {
    test(JSON.stringify(line), () => assert.equal(agentRefusal(line), refusal));
  }
});

describe('a line of the log without passwords', () => {
  const cases: [line: string, shown: string][] = [
    [
      'FINE: monitor(out): {"execute":"set_password","arguments":{"protocol":"spice","password":"c2VjcmV0=="}}',
      'FINE: monitor(out): {"execute":"set_password","arguments":{"protocol":"spice","password":…}}',
    ],
    ['{"password" : "a\\"b, c"}', '{"password" : …}'],
    ['{"password":"cut of', '{"password":…'],
    ["display-password: 'x y'", 'display-password: …'],
    ['display-password=xy, expiry=now', 'display-password=…, expiry=now'],
    [
      String.raw`{"line":"{\"password\":\"c2VjcmV0==\",\"protocol\":\"spice\"}"}`,
      String.raw`{"line":"{\"password\":…,\"protocol\":\"spice\"}"}`,
    ],
    [String.raw`"{\"password\":\"a\\\"b, c\"}"`, String.raw`"{\"password\":…}"`],
    [String.raw`"\\\"password\\\": \\\"two deep\\\""`, String.raw`"\\\"password\\\": …"`],
    [String.raw`"{\"password\":\"cut of`, String.raw`"{\"password\":…`],
    ['displayPasswordSerial: 3', 'displayPasswordSerial: 3'],
    ['set_password', 'set_password'],
  ];
  for (const [line, shown] of cases) test(line, () => assert.equal(redactPasswords(line), shown));
});

const time = (second: number): string => `2026-07-01T10:00:0${second}.000000000Z`;
const refused = (second: number, text = 'no'): string =>
  `${time(second)} Error response from vmop agent: 504 ${text}\n`;
const other = (second: number): string => `${time(second)} something else\n`;
const failure = (code: number): Reply => ({ status: code, body: { code, message: 'no log' } });

/** A log that is read as these texts, one after the other, the last one again and again. */
async function logOf(
  t: TestContext,
  ...replies: Reply[]
): Promise<{ log: RunnerLog; server: ScriptedServer }> {
  let index = 0;
  const server = await startScriptedServer(t, (request) => {
    reply(request, replies[Math.min(index, replies.length - 1)]);
    index += 1;
  });
  const cluster = await openTestCluster(t, server);
  return { log: new RunnerLog(cluster, { namespace: 'ns', name: 'desktop-1' }), server };
}

describe('a runner’s log', () => {
  const { signal } = new AbortController();

  test('refusals before the mark do not count, but the last one is told', async (t) => {
    const before = refused(1, 'first') + refused(2, 'second') + other(3);
    const { log, server } = await logOf(t, { body: before }, { body: before + refused(4, 'third') });
    assert.equal(await log.mark(signal), '504 second');
    assert.equal(await log.refusal(signal), '504 third');
    assert.match(
      server.requests[0]?.path ?? '',
      /\/namespaces\/ns\/pods\/desktop-1\/log\?tailLines=200&timestamps=true$/,
    );
  });

  test('the first of several new ones', async (t) => {
    const { log } = await logOf(t, { body: '' }, { body: refused(1, 'a') + refused(2, 'b') });
    assert.equal(await log.mark(signal), undefined);
    assert.equal(await log.refusal(signal), '504 a');
  });

  test('a line is read once', async (t) => {
    const abort = new AbortController();
    const { log, server } = await logOf(t, { body: '' }, { body: refused(1) });
    await log.mark(signal);
    assert.equal(await log.refusal(signal), '504 no');
    const again = log.refusal(abort.signal);
    while (server.requests.length < 4) await new Promise(setImmediate);
    abort.abort();
    assert.equal(await again, undefined);
  });

  test('lines without a time, and torn ones, are passed over', async (t) => {
    const torn = 'Error response from vmop agent: 504 no time\n\n2026-07-01 torn';
    const { log } = await logOf(t, { body: other(1) }, { body: torn }, { body: refused(2) });
    await log.mark(signal);
    assert.equal(await log.refusal(signal), '504 no');
  });

  for (const code of [404, 400]) {
    test(`${code} when it is marked: there is no line yet, so every one counts`, async (t) => {
      const { log } = await logOf(t, failure(code), { body: refused(1) });
      assert.equal(await log.mark(signal), undefined);
      assert.equal(log.unreadable, 'no log');
      assert.equal(await log.refusal(signal), '504 no');
      assert.equal(log.unreadable, undefined);
    });
  }

  test('a log that cannot be read when it is marked: nobody knows which lines are new, so it is marked later', async (t) => {
    const { log } = await logOf(
      t,
      failure(403),
      { body: refused(1, 'old') },
      { body: refused(1, 'old') + refused(2, 'new') },
    );
    assert.equal(await log.mark(signal), undefined);
    assert.equal(await log.refusal(signal), '504 new');
  });

  test('one that may not be read is asked for ever less often, until the signal aborts', async (t) => {
    const abort = new AbortController();
    const { log, server } = await logOf(t, failure(403));
    await log.mark(signal);
    const waiting = log.refusal(abort.signal);
    while (server.requests.length < 3) await new Promise(setImmediate);
    abort.abort();
    assert.equal(await waiting, undefined);
    assert.equal(log.unreadable, 'no log');
  });

  test('a mark ends with the signal', async (t) => {
    const server = await startScriptedServer(t, () => {});
    const cluster = await openTestCluster(t, server);
    const log = new RunnerLog(cluster, { namespace: 'ns', name: 'desktop-1' });
    const abort = new AbortController();
    const marking = log.mark(abort.signal);
    while (server.requests.length < 1) await new Promise(setImmediate);
    abort.abort();
    assert.equal(await marking, undefined);
  });
});
