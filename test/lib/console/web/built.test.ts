import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { rolldown } from 'rolldown';
import { licencesOf } from '../../../../scripts/build/licences.ts';
import { copyWebPage } from '../../../../scripts/build/web-page.ts';
import type { startWebConsole } from '../../../../src/lib/console/web/index.ts';
import { checkListen } from '../../../../src/lib/console/web/listen.ts';
import { LIMIT_MS, TARGET } from './wire.ts';

const root = path.join(import.meta.dirname, '../../../..');

function isStart(value: unknown): value is typeof startWebConsole {
  return typeof value === 'function';
}

test('built and far from node_modules it gives the same page', async (t) => {
  const dist = await mkdtemp(path.join(tmpdir(), 'vmop-test-'));
  t.after(async () => await rm(dist, { recursive: true, force: true }));
  const build = await rolldown({
    platform: 'node',
    logLevel: 'warn',
    input: path.join(root, 'src/lib/console/web/index.ts'),
  });
  await build.write({
    dir: dist,
    format: 'cjs',
    entryFileNames: 'web-console.cjs',
    dynamicImportInCjs: false,
  });
  await build.close();
  const separate = copyWebPage(dist);
  const loaded: unknown = createRequire(import.meta.url)(path.join(dist, 'web-console.cjs'));
  assert.ok(typeof loaded === 'object' && loaded !== null);
  const start: unknown = Reflect.get(loaded, 'startWebConsole');
  assert.ok(isStart(start));
  const options = {
    bridge: async () => await Promise.reject(new Error('nobody asks for it')),
    vm: { namespace: 'default', name: 'desktop-1', argument: 'desktop-1' },
    target: TARGET,
    admit: async () => await Promise.resolve(TARGET),
    plan: checkListen(),
    linkValidMs: LIMIT_MS,
    signal: new AbortController().signal,
  };
  const web = await start(options);
  t.after(async () => await web.close());
  for (const [place, own] of [
    ['spice-client/index.js', 'node_modules/spice-client/dist/esm/index.js'],
    ['spice-client/LICENSE', 'node_modules/spice-client/LICENSE'],
    ['page.js', 'src/lib/console/web/page/page.js'],
    ['', 'src/lib/console/web/page/index.html'],
  ] as const) {
    const answer = await fetch(new URL(`/${place}`, web.url));
    assert.equal(await answer.text(), await readFile(path.join(root, own), 'utf8'), own);
  }
  const licences = licencesOf([], separate);
  assert.match(licences, /spice-client \d+\.\d+\.\d+ \(LGPL-3\.0-or-later\)/);
  assert.match(
    licences,
    /web\/spice-client\/index\.js is the package's own file, unmodified.* https:\/\/github\.com\//,
  );
  assert.match(
    await readFile(path.join(dist, 'web/spice-client/COPYING.LESSER'), 'utf8'),
    /LESSER GENERAL PUBLIC/,
  );

  // An installation that lost its page says so.
  await web.close();
  await rm(path.join(dist, 'web/page.js'));
  await assert.rejects(start(options), /the page of the browser console is not there/);
});
