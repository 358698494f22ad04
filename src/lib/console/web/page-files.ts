import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VmopError, messageOf } from '../../errors.ts';

export interface PageFile {
  type: string;
  body: Buffer;
}

/** The SPICE client's own module and licence, below the page's folder where vmop is built. */
const CLIENT = 'spice-client/index.js';
const CLIENT_LICENCE = 'spice-client/LICENSE';

const FILES: Record<string, { file: string; type: string }> = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/page.css': { file: 'page.css', type: 'text/css; charset=utf-8' },
  '/page.js': { file: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/link.js': { file: 'link.js', type: 'text/javascript; charset=utf-8' },
  '/screen.js': { file: 'screen.js', type: 'text/javascript; charset=utf-8' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
  '/spice-client/index.js': { file: CLIENT, type: 'text/javascript; charset=utf-8' },
  '/spice-client/LICENSE': { file: CLIENT_LICENCE, type: 'text/plain; charset=utf-8' },
};

/** All that the server has to give, by path. Errors: `console` when vmop is not installed completely. */
export async function readPageFiles(): Promise<Map<string, PageFile>> {
  const here = import.meta.dirname;
  // The build puts the page into a folder beside the bundle.
  const built = path.join(here, 'web');
  const isBuilt = existsSync(built);
  const place = (file: string): string => {
    if (isBuilt) return path.join(built, file);
    return file.startsWith('spice-client/') ? inPackage(file) : path.join(here, 'page', file);
  };
  try {
    const entries = await Promise.all(
      Object.entries(FILES).map(
        async ([url, { file, type }]) => [url, { type, body: await readFile(place(file)) }] as const,
      ),
    );
    return new Map(entries);
  } catch (error) {
    throw new VmopError('console', `the page of the browser console is not there: ${messageOf(error)}`, {
      hint: 'install vmop anew',
      cause: error,
    });
  }
}

function inPackage(file: string): string {
  const commonJs = createRequire(import.meta.filename).resolve('spice-client');
  const root = path.join(path.dirname(commonJs), '../..');
  return file === CLIENT ? path.join(root, 'dist/esm/index.js') : path.join(root, path.basename(file));
}
