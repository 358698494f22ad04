import { readFile } from 'node:fs/promises';
import { asInteger, asObject, asString, compact, parseJson } from '../cluster/parse.ts';
import { API_NAMES, type ApiName } from './api-choice.ts';
import { DRIVER_NAMES, type DriverInfo } from './drivers/driver-request.ts';
import { writePrivate } from './private-file.ts';
import { isSameProcessRunning, type ProcessIdentity } from './process-identity.ts';
import type { StateFolder } from './state-folder.ts';

/** What a running daemon says of itself in `daemon.json`. */
export interface DaemonRecord extends ProcessIdentity {
  api: ApiName;
  url: string;
  port: number;
  startedAt: string;
  machinesFolder: string;
  driver: DriverInfo;
  /** Why it has ended, when that was by itself. */
  problem?: string;
}

export async function writeDaemonRecord({ daemon }: StateFolder, record: DaemonRecord): Promise<void> {
  await writePrivate(daemon, `${JSON.stringify(record, null, 2)}\n`);
}

/** The last daemon that did not end in order, running or not; undefined when there is none. */
export async function readDaemonRecord({ daemon }: StateFolder): Promise<DaemonRecord | undefined> {
  const record = asObject(parseJson(await readFile(daemon, 'utf8').catch(() => '')));
  const pid = asInteger(record['pid']);
  if (pid === undefined) return undefined;
  return compact({
    pid,
    api: API_NAMES.find((name) => name === record['api']) ?? 'embedded',
    started: asString(record['started']) ?? '',
    url: asString(record['url']) ?? '',
    port: asInteger(record['port']) ?? 0,
    startedAt: asString(record['startedAt']) ?? '',
    machinesFolder: asString(record['machinesFolder']) ?? '',
    driver: parseDriver(record['driver']),
    problem: asString(record['problem']),
  });
}

/** The daemon that runs now. */
export async function runningDaemon(folder: StateFolder): Promise<DaemonRecord | undefined> {
  const record = await readDaemonRecord(folder);
  return record && (await isSameProcessRunning(record)) ? record : undefined;
}

function parseDriver(value: unknown): DriverInfo {
  const driver = asObject(value);
  const guest = asObject(driver['guest']);
  const missing = asString(guest['missing']);
  const qemu = asObject(driver['qemu']);
  const path = asString(qemu['path']);
  return compact({
    name: DRIVER_NAMES.find((name) => name === driver['name']) ?? 'simulated',
    reason: asString(driver['reason']),
    qemu:
      path === undefined
        ? undefined
        : {
            path,
            version: asString(qemu['version']) ?? '',
            accel: qemu['accel'] === 'kvm' ? ('kvm' as const) : ('tcg' as const),
          },
    guest:
      missing === undefined
        ? compact({ description: asString(guest['description']) ?? '', image: asString(guest['image']) })
        : { missing },
  });
}
