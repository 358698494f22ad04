import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { machineFiles } from '../../../../src/lib/sandbox/drivers/qemu/files.ts';
import { parsePpm, type Picture } from '../../../e2e/picture.ts';
import { QmpProbe } from '../../../helpers/qmp.ts';
import { freePort } from '../real-desktop.ts';

/** QEMU without a guest: two screens, sound and USB redirection over SPICE, in the clear and with TLS. */
export interface RealMachine {
  port: number;
  tlsPort: number;
  /** PEM; its subject is `CN=desktop`. */
  certificate: string;
  probe: QmpProbe;
  setPassword(password: string, expiry: string): Promise<void>;
  /** The first screen. */
  picture(): Promise<Picture>;
  close(): Promise<void>;
}

export async function startRealMachine(): Promise<RealMachine> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vmop-bridge-'));
  const { generate } = await import('selfsigned');
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'desktop' }]);
  const [keyFile, certFile] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  await Promise.all([writeFile(keyFile, key, { mode: 0o600 }), writeFile(certFile, cert)]);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const qmp = machineFiles(folder).qmpDebug;
  const x509 = `x509-key-file=${keyFile},x509-cert-file=${certFile},x509-cacert-file=${certFile}`;
  const child = spawn(
    'qemu-system-x86_64',
    ['-accel', 'tcg', '-nodefaults', '-vga', 'qxl', '-device', 'qxl', '-display', 'none']
      .concat('-audiodev', 'spice,id=sound', '-device', 'intel-hda', '-device', 'hda-duplex,audiodev=sound')
      .concat('-device', 'qemu-xhci', '-chardev', 'spicevmc,name=usbredir,id=usb')
      .concat('-device', 'usb-redir,chardev=usb', '-qmp', `unix:${qmp},server=on,wait=off`)
      .concat('-spice', `addr=127.0.0.1,port=${port},tls-port=${tlsPort},disable-ticketing=off,${x509}`),
    { stdio: 'ignore' },
  );
  const ended = once(child, 'exit');
  while (!existsSync(qmp) && child.exitCode === null) await sleep(20);
  const probe = await QmpProbe.connect(folder);
  return {
    port,
    tlsPort,
    certificate: cert,
    probe,
    setPassword: async (password, time) => {
      await probe.execute('set_password', { protocol: 'spice', password });
      await probe.execute('expire_password', { protocol: 'spice', time });
    },
    picture: async () => {
      const file = path.join(folder, 'picture.ppm');
      await probe.execute('screendump', { filename: file });
      return parsePpm(await readFile(file));
    },
    close: async () => {
      probe.close();
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
