import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { VmopError, messageOf } from '../../errors.ts';

export interface PageFile {
  type: string;
  body: Buffer;
}

/** The SPICE client's own module and licence. */
const CLIENT = 'spice-client/index.js';
const CLIENT_LICENCE = 'spice-client/LICENSE';

const FILES: Record<string, { file: string; type: string }> = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/page.css': { file: 'page.css', type: 'text/css; charset=utf-8' },
  '/page.js': { file: 'page.js', type: 'text/javascript; charset=utf-8' },
  '/agent.js': { file: 'agent.js', type: 'text/javascript; charset=utf-8' },
  '/link.js': { file: 'link.js', type: 'text/javascript; charset=utf-8' },
  '/screen.js': { file: 'screen.js', type: 'text/javascript; charset=utf-8' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
  '/spice-client/index.js': { file: CLIENT, type: 'text/javascript; charset=utf-8' },
  '/spice-client/LICENSE': { file: CLIENT_LICENCE, type: 'text/plain; charset=utf-8' },
};

/** Where the build puts the page: a folder beside the bundle. */
export const BUILT_PAGE = 'web';

/** The page's files by their place below its folder, each with where it is in the source and in its package. */
export function pageSources(): Map<string, string> {
  const client = clientPackage();
  const page = path.join(import.meta.dirname, 'page');
  const places = Object.values(FILES).map(({ file }) => {
    if (file === CLIENT) return [file, path.join(client, 'dist/esm/index.js')] as const;
    if (file === CLIENT_LICENCE) return [file, path.join(client, 'LICENSE')] as const;
    return [file, path.join(page, file)] as const;
  });
  return new Map(places);
}

/** The folder of the SPICE client's package. */
export function clientPackage(): string {
  const commonJs = createRequire(import.meta.filename).resolve('spice-client');
  return path.join(path.dirname(commonJs), '../..');
}

/** All that the server has to give, by path. Errors: `console` when vmop is not installed completely. */
export async function readPageFiles(): Promise<Map<string, PageFile>> {
  const built = path.join(import.meta.dirname, BUILT_PAGE);
  try {
    const sources = existsSync(built) ? undefined : pageSources();
    const entries = await Promise.all(
      Object.entries(FILES).map(async ([url, { file, type }]) => {
        const body = await readFile(sources?.get(file) ?? path.join(built, file));
        return [url, { type, body }] as const;
      }),
    );
    return new Map(entries);
  } catch (error) {
    throw new VmopError('console', `the page of the browser console is not there: ${messageOf(error)}`, {
      hint: 'install vmop anew',
      cause: error,
    });
  }
}
