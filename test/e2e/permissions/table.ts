import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { GIVEN, PLACES, type Given, type Place } from './world.ts';

const FILE = path.join(import.meta.dirname, '../../../docs/permissions.md');
const BETWEEN = /(<!-- table: [^\n]* -->\n)[^]*?(<!-- \/table -->)/;

/** What became of an action: let through, refused by RBAC, refused by an admission policy. */
export type Outcome = '✓' | 'R' | 'P';

const TITLES: Record<Place, string> = {
  own: 'A VM whose spec.permissions give the user this permission',
  pool: 'A VM that a pool has assigned whose spec.permissions give it',
  leased: 'A VM whose own spec.permissions give it, while a pool of somebody else’s has it assigned',
  foreign: 'Somebody else’s VM',
};

/** The tables of docs/permissions.md from what was seen. */
export function permissionTables(
  actions: readonly string[],
  seen: (action: string, given: Given, place: Place) => Outcome,
): string {
  return PLACES.map((place) => {
    const header = ['', ...GIVEN.map((given) => (given === 'none' ? 'none' : `\`${given}\``))];
    const rows = actions.map((action) => [action, ...GIVEN.map((given) => seen(action, given, place))]);
    const lines = [header, header.map((_, index) => (index === 0 ? '---' : ':-:')), ...rows];
    return `### ${TITLES[place]}\n\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
  }).join('\n');
}

/** docs/permissions.md as it is, and as it should be; `UPDATE_GOLDEN=1` makes it so. */
export async function permissionsDocument(tables: string): Promise<{ is: string; should: string }> {
  const is = readFileSync(FILE, 'utf8');
  const options = await resolveConfig(FILE);
  const text = is.replace(BETWEEN, (_all, begin: string, end: string) => `${begin}\n${tables}\n${end}`);
  const should = await format(text, { ...options, parser: 'markdown' });
  if (!process.env['UPDATE_GOLDEN']) return { is, should };
  writeFileSync(FILE, should);
  return { is: should, should };
}
