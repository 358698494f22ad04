import type { Command, Interfaces } from '@oclif/core';

/** Command id (`secret:rotate`) → the module that holds it. */
export type CommandLoaders = Record<string, () => Promise<{ default: Command.Class }>>;

/** `package.json` as far as oclif reads it. */
export type PackageJson = Interfaces.PJSON;

function isManifest(value: unknown): value is Interfaces.Manifest {
  return typeof value === 'object' && value !== null && 'commands' in value && 'version' in value;
}

/**
 * vmop as an oclif plugin made in memory: oclif would search folders and read files at every start. The manifest
 * serves help and parsing; a command's module is loaded when it runs.
 */
export function memoryPlugin(
  root: string,
  pjson: PackageJson,
  manifest: unknown,
  loaders: CommandLoaders,
): Interfaces.Plugin {
  if (!isManifest(manifest)) throw new TypeError('oclif.manifest.json is not a manifest');
  const topics = Object.entries(pjson.oclif.topics ?? {}).map(([name, topic]) => ({ name, ...topic }));
  const find = async (id: string): Promise<Command.Class> => {
    const loader = loaders[id];
    if (loader === undefined) throw new Error(`the manifest names a command "${id}" that does not exist`);
    const command = (await loader()).default;
    command.id = id;
    command.plugin = plugin;
    return command;
  };
  const plugin: Interfaces.Plugin & { manifest: Interfaces.Manifest } = {
    _base: '@oclif/core',
    alias: pjson.name,
    commandIDs: Object.keys(manifest.commands),
    commands: Object.entries(manifest.commands).map(([id, command]) => ({
      ...command,
      load: () => find(id),
      pluginAlias: pjson.name,
      pluginType: 'core',
    })),
    commandsDir: undefined,
    findCommand: find,
    hasManifest: true,
    hooks: {},
    isRoot: true,
    load: () => Promise.resolve(),
    moduleType: 'module',
    name: pjson.name,
    options: { root },
    pjson,
    root,
    topics,
    type: 'core',
    valid: true,
    version: pjson.version,
    manifest,
  };
  return plugin;
}
