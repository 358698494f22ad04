/**
 * Bundles vmop into dist (or the folder that is named) with rolldown: `npm run build`, and part of `npm ci`. ADR 6 says
 * why it looks as it does.
 */
import { createHash } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { rolldown, type InputOptions, type OutputChunk, type OutputOptions, type Plugin } from 'rolldown';
import { jsonParts } from './build/json-parts.ts';
import { licencesOf } from './build/licences.ts';
import { LATER, laterEntries, substitutes } from './build/substitutes.ts';
import { copyWebPage } from './build/web-page.ts';

const root = path.join(import.meta.dirname, '..');
const dist = path.resolve(process.argv[2] ?? path.join(root, 'dist'));

async function bundle(input: InputOptions, output: OutputOptions): Promise<OutputChunk[]> {
  const build = await rolldown({ platform: 'node', logLevel: 'warn', ...input });
  const written = await build.write({
    dir: dist,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name]-[hash].cjs',
    // `import()` of a chunk becomes `require()`.
    dynamicImportInCjs: false,
    comments: false,
    ...output,
  });
  await build.close();
  return written.output.filter((file) => file.type === 'chunk');
}

/**
 * Makes of a file what src/launch.ts compiles: an expression, a function with the parameters of a CommonJS module; in
 * ASCII, because V8 keeps other text with two bytes a character.
 */
function forLaunch(): Plugin {
  return {
    name: 'for-launch',
    generateBundle(_options, files) {
      for (const file of Object.values(files)) {
        if (file.type !== 'chunk') continue;
        const raw = /String\.raw`[^`]*[^\0-\x7f]/.exec(file.code);
        if (raw) this.error(`${file.fileName}: an escape would change this text: ${raw[0].slice(0, 80)}`);
        const body = file.code.replace(/[^\0-\x7f]/g, escaped);
        file.code = `(function (exports, require, module, __filename, __dirname) {\n${body}})`;
      }
    },
  };
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

rmSync(dist, { recursive: true, force: true });
const chunks = await bundle(
  { input: path.join(root, 'src/main.ts'), plugins: [substitutes(), jsonParts()] },
  { plugins: [forLaunch()] },
);
for (const name of Object.keys(LATER)) {
  const later = await bundle(
    { input: { [name]: name }, plugins: [laterEntries()] },
    { plugins: [forLaunch()], dir: path.join(dist, 'later'), codeSplitting: false },
  );
  chunks.push(...later);
}

const hash = createHash('sha256');
for (const { code } of chunks) hash.update(code);
const BUILD = JSON.stringify(hash.digest('hex').slice(0, 16));
await bundle({ input: path.join(root, 'src/launch.ts'), transform: { define: { BUILD } } }, {});

const separate = copyWebPage(dist);
writeFileSync(
  path.join(dist, 'THIRD-PARTY-LICENSES.txt'),
  licencesOf(
    chunks.flatMap(({ moduleIds }) => moduleIds),
    separate,
  ),
);
