import { readFile } from 'node:fs/promises';
import type { Settings } from '../cli/settings.ts';
import type { Given } from '../console/reach/address.ts';
import type { EndpointOverrides } from '../console/reach/endpoint.ts';
import type { TunnelChoice } from '../console-choices.ts';
import { messageOf, VmopError } from '../errors.ts';

/** What flags say about the way to a display. */
export interface WayFlags {
  host?: string | undefined;
  port?: number | undefined;
  proxy?: string | undefined;
  ca?: string | undefined;
  'host-subject'?: string | undefined;
  tunnel?: TunnelChoice | undefined;
}

/** Where displays are and how they are reached, as far as flags and configuration say. */
export interface ConsoleWay {
  overrides: EndpointOverrides;
  hosts: Readonly<Record<string, string>>;
  tunnel: TunnelChoice;
}

/** The same for opening a console and for `--check`. Errors: `usage`. */
export async function consoleWay(flags: WayFlags, settings: Settings): Promise<ConsoleWay> {
  // Whoever names the way wants that one.
  const named = flags.host !== undefined || flags.proxy !== undefined;
  if (flags.tunnel === 'always' && named) {
    throw new VmopError('usage', '--host and --proxy are ways of their own, and --tunnel always is another', {
      hint: 'choose one',
    });
  }
  const tunnel = flags.tunnel ?? (named ? 'never' : (settings.tunnel ?? 'auto'));
  return { overrides: await endpointOverrides(flags, settings), hosts: settings.hosts ?? {}, tunnel };
}

async function endpointOverrides(flags: WayFlags, settings: Settings): Promise<EndpointOverrides> {
  const from = (flag: string, value: string | undefined, setting?: string): Given | undefined => {
    if (value !== undefined) return { value, source: `--${flag}` };
    return setting === undefined ? undefined : { value: setting, source: `${flag} in config.yaml` };
  };
  const caFile = from('ca', flags.ca, settings.ca);
  return {
    host: from('host', flags.host),
    port: flags.port === undefined ? undefined : { value: flags.port, source: '--port' },
    proxy: from('proxy', flags.proxy, settings.proxy),
    hostSubject: from('host-subject', flags['host-subject'], settings.hostSubject),
    ca: caFile && { value: await readPem(caFile), source: caFile.source },
  };
}

async function readPem({ value, source }: Given): Promise<string> {
  try {
    return await readFile(value, 'utf8');
  } catch (error) {
    throw new VmopError('usage', `${source}: ${messageOf(error)}`, {
      hint: 'it must be a PEM file',
      cause: error,
    });
  }
}
