/** Bundles src/main.ts into dist/main.js with rolldown: `npm run build`, and part of `npm ci`. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { rolldown } from 'rolldown';

const root = path.join(import.meta.dirname, '..');
rmSync(path.join(root, 'dist'), { recursive: true, force: true });
const bundle = await rolldown({
  input: path.join(root, 'src/main.ts'),
  platform: 'node',
  logLevel: 'warn',
});
await bundle.write({
  dir: path.join(root, 'dist'),
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: '[name]-[hash].js',
});
await bundle.close();
