import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** `…/node_modules/@scope/name/…` up to the package's folder; undefined for vmop's own files. */
function packageFolder(moduleId: string): string | undefined {
  return /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(moduleId)?.[0];
}

function field(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const found: unknown = Reflect.get(value, name);
  return typeof found === 'string' ? found : undefined;
}

function sourceOf(manifest: unknown): string | undefined {
  const repository: unknown =
    typeof manifest === 'object' && manifest !== null ? Reflect.get(manifest, 'repository') : undefined;
  return field(repository, 'url')?.replace(/^git\+/, '');
}

/**
 * The licences of all packages that `moduleIds` (files in the bundle) come from, as one text; and those of packages
 * that are shipped as files of their own: folder of the package, and where it is. Throws when a package has neither a
 * licence's text nor its name.
 */
export function licencesOf(moduleIds: Iterable<string>, separate: ReadonlyMap<string, string>): string {
  const folders = new Set([...moduleIds].flatMap((id) => packageFolder(id) ?? []));
  const sections = [...folders, ...separate.keys()].map((folder) => {
    const manifest: unknown = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const title = `${field(manifest, 'name')} ${field(manifest, 'version')}`;
    const kind = field(manifest, 'license');
    const files = readdirSync(folder).filter((name) => /^(?:licen[cs]e|notice|copying)/i.test(name));
    if (kind === undefined && files.length === 0) throw new Error(`${title} says nothing about its licence`);
    const texts = files.map((name) => readFileSync(path.join(folder, name), 'utf8').trim());
    const place = separate.get(folder);
    const note =
      place === undefined
        ? []
        : [
            `Not a part of the bundle: ${place} is the package's own file, unmodified, and may be replaced by another ` +
              `version. Its source: ${sourceOf(manifest)}`,
          ];
    return [`${title} (${kind ?? 'see below'})`, ...note, ...texts].join('\n\n');
  });
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `${['vmop contains these packages.', ...[...new Set(sections)].sort()].join(rule)}\n`;
}
