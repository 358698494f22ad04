import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { BUILT_PAGE, clientPackage, pageSources } from '../../src/lib/console/web/page-files.ts';

const COPYING = path.join(import.meta.dirname, 'copying');

/**
 * Puts the browser console's page beside the bundle: our files, and the SPICE client as its package has it, with the
 * texts that its licence refers to. Returns the packages that are shipped so, each with its place in `dist`.
 */
export function copyWebPage(dist: string): Map<string, string> {
  const folder = path.join(dist, BUILT_PAGE);
  for (const [file, source] of pageSources()) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    cpSync(source, path.join(folder, file));
  }
  const client = clientPackage();
  cpSync(path.join(client, 'package.json'), path.join(folder, 'spice-client/package.json'));
  cpSync(path.join(COPYING, 'GPL-3.0.txt'), path.join(folder, 'spice-client/COPYING'));
  cpSync(path.join(COPYING, 'LGPL-3.0.txt'), path.join(folder, 'spice-client/COPYING.LESSER'));
  return new Map([[client, `${BUILT_PAGE}/spice-client/index.js`]]);
}
