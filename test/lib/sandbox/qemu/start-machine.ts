/**
 * A process that starts a machine as the sandbox does, prints its events (one JSON object a line), and stays until it
 * is killed: `node start-machine.ts SPEC GUEST`, both as JSON.
 */
import { createQemuDriver } from '../../../../src/lib/sandbox/drivers/qemu/driver.ts';

const [spec = '{}', guest = '{}'] = process.argv.slice(2);
await createQemuDriver({ guest: JSON.parse(guest) }).start(JSON.parse(spec), (event) => {
  process.stdout.write(`${JSON.stringify(event)}\n`);
});
setInterval(() => undefined, 60_000);
