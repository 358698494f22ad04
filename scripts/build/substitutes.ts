/**
 * What the bundle has in place of some imports of its libraries.
 *
 * Loading everything that oclif and client-node import at their start takes longer than a whole `vmop list`, and most
 * commands use little of it. Nothing in node_modules is changed: the bundler gets another module where a library
 * imports what is listed here. docs/adr/0006-start-up.md has the figures.
 */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from 'rolldown';

const root = path.join(import.meta.dirname, '../..');

type Importer = 'vmop' | '@oclif/core' | '@kubernetes/client-node';

interface Substitute {
  importer: Importer;
  specifier: string;
  /** The module that the importer gets. */
  code: string;
}

/** The real packages, in files of their own (`dist/later/<name>.cjs`) that are loaded at the first use. */
export const LATER: Record<string, { importer: Importer; packages: string[] }> = {
  jsonpath: { importer: '@kubernetes/client-node', packages: ['jsonpath-plus'] },
};

/** Node's own modules that take long to load and are not needed by every command. */
const LATER_BUILTINS = [
  'node:child_process',
  'node:fs/promises',
  'node:perf_hooks',
  'node:readline',
  'node:timers/promises',
];

/** Code that vmop never reaches: a call fails with a clear message. The names are all that the importers use. */
const UNUSED: { importer: Importer; specifier: string; names: string[] }[] = [
  // Requests, watches, OIDC and proxies are vmop's own (ADR 3); client-node is there for kubeconfig files.
  { importer: '@kubernetes/client-node', specifier: 'hpagent', names: ['HttpProxyAgent', 'HttpsProxyAgent'] },
  { importer: '@kubernetes/client-node', specifier: 'socks-proxy-agent', names: ['SocksProxyAgent'] },
  {
    importer: '@kubernetes/client-node',
    specifier: 'openid-client',
    names: ['customFetch', 'discovery', 'refreshTokenGrant'],
  },
  { importer: '@kubernetes/client-node', specifier: 'undici', names: ['Agent', 'ProxyAgent'] },
  { importer: '@kubernetes/client-node', specifier: 'socks', names: ['SocksClient'] },
  {
    importer: '@kubernetes/client-node',
    specifier: './gen/index.js',
    names: ['createConfiguration', 'ServerConfiguration'],
  },
  { importer: '@kubernetes/client-node', specifier: './middleware.js', names: ['setHeaderMiddleware'] },
  // vmop's plugin is in memory (ADR 4): no folder is searched, no package file read; progress is vmop's own.
  { importer: '@oclif/core', specifier: 'ansi-escapes', names: ['default'] },
  { importer: '@oclif/core', specifier: 'get-package-type', names: ['default'] },
  { importer: '@oclif/core', specifier: 'lilconfig', names: ['lilconfig'] },
  { importer: '@oclif/core', specifier: 'minimatch', names: ['minimatch'] },
  { importer: '@oclif/core', specifier: 'tinyglobby', names: ['glob'] },
  { importer: '@oclif/core', specifier: 'typescript', names: ['default'] },
];

const SUBSTITUTES: Substitute[] = [
  ...Object.entries(LATER).flatMap(([file, { importer, packages }]) =>
    packages.map((specifier) => ({
      importer,
      specifier,
      code: laterCode(
        `require('./later/${file}.cjs')[${JSON.stringify(specifier)}]()`,
        requireOf(importer)(specifier),
      ),
    })),
  ),
  {
    // oclif takes these when it is loaded at a terminal, though vmop's progress is its own.
    importer: '@oclif/core',
    specifier: 'cli-spinners',
    code: `const still = { interval: 1000, frames: ['-'] }; export default { dots2: still, line: still };`,
  },
  ...UNUSED.map(({ importer, specifier, names }) => ({
    importer,
    specifier,
    code: unusedCode(specifier, names),
  })),
  {
    // The index loads all of oclif; vmop's commands use three parts.
    importer: 'vmop',
    specifier: '@oclif/core',
    code: `export { Command } from '@oclif/core/command';
           export * as Args from '@oclif/core/args';
           export * as Flags from '@oclif/core/flags';`,
  },
  {
    importer: '@oclif/core',
    specifier: 'debug',
    code: `export default () => Object.assign(() => {}, { enabled: false });`,
  },
  {
    // The real one reads files at every start; its PowerShell would be started to learn the shell's name.
    importer: '@oclif/core',
    specifier: 'wsl-utils',
    code: `import { release } from 'node:os';
           export const isWsl = process.platform === 'linux' && release().toLowerCase().includes('microsoft');
           export const powerShellPath = () => Promise.reject(new Error('not asked'));`,
  },
  {
    // client-node takes hold of `spawn` when it is loaded: a function that loads the module when it is called.
    importer: '@kubernetes/client-node',
    specifier: 'node:child_process',
    code: `const later = (name) => (...args) => process.getBuiltinModule('node:child_process')[name](...args);
           export default { execSync: later('execSync'), spawn: later('spawn'), spawnSync: later('spawnSync') };`,
  },
];

/** `require` as it works inside of a library: each may have its own version of a package. */
function requireOf(importer: Importer): NodeJS.Require {
  return createRequire(fileOf(importer));
}

function fileOf(importer: Importer): string {
  return importer === 'vmop'
    ? path.join(root, 'src/main.ts')
    : // As the bundler names files: node_modules, or a package in it, may be a link.
      realpathSync(path.join(root, 'node_modules', importer, 'package.json'));
}

/** A module that looks like `real`, whose names are those of `load` (an expression) when they are used. */
function laterCode(load: string, real: unknown): string {
  const isModule = typeof real === 'object' && real !== null;
  if (!isModule && typeof real !== 'function') throw new TypeError(`nothing to load later: ${load}`);
  const names = Object.keys(real).filter((name) => name !== '__esModule' && name !== 'module.exports');
  const esModule = '__esModule' in real && real.__esModule === true;
  return `
    let real;
    const load = () => (real ??= ${load});
    module.exports = ${isModule ? '{}' : '(...args) => load()(...args)'};
    ${esModule ? `Object.defineProperty(module.exports, '__esModule', { value: true });` : ''}
    for (const name of ${JSON.stringify(names)}) {
      Object.defineProperty(module.exports, name, { enumerable: true, get: () => load()[name] });
    }`;
}

function unusedCode(specifier: string, names: string[]): string {
  const message = JSON.stringify(`${specifier} is not a part of this build of vmop`);
  const exported = names.map((name) =>
    name === 'default' ? 'export default unused;' : `export { unused as ${name} };`,
  );
  return `function unused() { throw new Error(${message}); }\n${exported.join('\n')}`;
}

function isImporter(importer: Importer, file: string): boolean {
  return file.startsWith(
    importer === 'vmop' ? path.join(root, 'src/') : path.dirname(fileOf(importer)) + path.sep,
  );
}

/** Puts the substitutes into the bundle. Fails the build when one is not asked for any more. */
export function substitutes(): Plugin {
  const asked = new Set<Substitute>();
  return {
    name: 'substitutes',
    async resolveId(source, importer) {
      if (importer === undefined) return undefined;
      const id = /^\0substitute:(\d+)$/.exec(importer)?.[1];
      if (id !== undefined) {
        if (source.startsWith('./later/')) return { id: source, external: true };
        return this.resolve(source, fileOf(SUBSTITUTES[Number(id)]?.importer ?? 'vmop'));
      }
      const index = SUBSTITUTES.findIndex(
        (candidate) => candidate.specifier === source && isImporter(candidate.importer, importer),
      );
      const substitute = SUBSTITUTES[index];
      if (substitute) {
        asked.add(substitute);
        return `\0substitute:${index}`;
      }
      return LATER_BUILTINS.includes(source) && !importer.startsWith('\0') ? `\0later:${source}` : undefined;
    },
    load(id) {
      const [kind, name = ''] = id.split(/:(.*)/s);
      if (kind === '\0substitute') return { moduleType: 'js', code: SUBSTITUTES[Number(name)]?.code ?? '' };
      if (kind !== '\0later') return undefined;
      const load = `process.getBuiltinModule(${JSON.stringify(name)})`;
      return { moduleType: 'js', code: laterCode(load, requireOf('vmop')(name)) };
    },
    buildEnd(error) {
      const stale = SUBSTITUTES.filter((substitute) => !asked.has(substitute));
      if (error === undefined && stale.length > 0) {
        const list = stale.map(({ importer, specifier }) => `${importer} → ${specifier}`).join(', ');
        this.error(`no longer imported, so out of date in scripts/build/substitutes.ts: ${list}`);
      }
    },
  };
}

/** The modules of `dist/later`: `exports[package]()` is the package. */
export function laterEntries(): Plugin {
  const entry = (id: string) => LATER[id.replace(/^\0later-entry:/, '')];
  return {
    name: 'later-entries',
    resolveId(source, importer) {
      if (source in LATER && importer === undefined) return `\0later-entry:${source}`;
      const from = importer?.startsWith('\0later-entry:') ? entry(importer) : undefined;
      return from && this.resolve(source, fileOf(from.importer));
    },
    load(id) {
      if (!id.startsWith('\0later-entry:')) return undefined;
      const lines = entry(id)?.packages.map((name) => JSON.stringify(name)) ?? [];
      const code = lines.map((name) => `exports[${name}] = () => require(${name});`).join('\n');
      return { moduleType: 'js', code };
    },
  };
}
