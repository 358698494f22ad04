/** Waiting for the guest's picture to appear: on an X11 screen, or in a page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { shareShown, type Picture } from '../test/e2e/picture.ts';
import { until } from './lib.ts';

/** More often would cost what is measured. */
const POLL_MS = 10;
const LIMIT_MS = 60_000;
/** A cursor that blinks costs some rows. */
const ENOUGH = 0.9;

/** An X window dump with 32 bits a pixel, as Xvfb keeps it. */
function parseDump(dump: Buffer): Picture {
  const field = (index: number): number => dump.readUInt32BE(index * 4);
  const [headerBytes, width, height] = [field(0), field(4), field(5)];
  const [bitsPerPixel, bytesPerLine, colours] = [field(11), field(12), field(19)];
  assert.equal(bitsPerPixel, 32, 'not a screen of Xvfb with 24 bits');
  const start = headerBytes + colours * 12;
  const pixels = Buffer.allocUnsafe(width * height * 3);
  for (let y = 0, to = 0; y < height; y += 1) {
    for (let from = start + y * bytesPerLine, end = from + width * 4; from < end; from += 4, to += 3) {
      pixels[to] = dump[from + 2] ?? 0;
      pixels[to + 1] = dump[from + 1] ?? 0;
      pixels[to + 2] = dump[from] ?? 0;
    }
  }
  return { width, height, pixels };
}

/** Resolves as soon as the screen (Xvfb's frame file) shows the picture, or does not any more. */
export async function screenShows(frameFile: string, guest: Picture, wanted = true): Promise<void> {
  let last: Buffer | undefined;
  await until(`the screen ${wanted ? 'shows the guest' : 'is empty'}`, POLL_MS, () => {
    const dump = readFileSync(frameFile);
    if (last !== undefined && dump.equals(last)) return false;
    last = dump;
    return shareShown(guest, parseDump(dump)) > ENOUGH === wanted;
  });
}

/** Makes the next document of the page look out for the picture; `pictureShown` resolves when it is there. */
export async function lookOutForPicture(page: Page, { width, height, pixels }: Picture): Promise<void> {
  const rows: { y: number; rgb: string }[] = [];
  for (let y = 0; y < height; y += 1) {
    const row = pixels.subarray(y * width * 3, (y + 1) * width * 3);
    // Rows of one colour tell nothing: an empty page has them too.
    if (!row.subarray(3).equals(row.subarray(0, -3))) rows.push({ y, rgb: row.toString('latin1') });
  }
  await page.addInitScript(`globalThis.guestIsShown = new Promise((resolve) => {
    const rows = ${JSON.stringify(rows)};
    const isShown = (context, { y, rgb }) => {
      const { data } = context.getImageData(0, y, ${width}, 1);
      for (let x = 0; x < ${width}; x++)
        for (let c = 0; c < 3; c++) if (data[x * 4 + c] !== rgb.charCodeAt(x * 3 + c)) return false;
      return true;
    };
    const look = () => {
      const canvas = document.querySelector('#screen canvas');
      if (canvas?.width === ${width} && canvas.height === ${height}) {
        const context = canvas.getContext('2d');
        if (rows.filter((row) => isShown(context, row)).length > ${ENOUGH} * rows.length) return resolve(true);
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  })`);
}

export async function pictureShown(page: Page): Promise<void> {
  const timeout = new Promise<never>((_resolve, reject) => {
    const late = (): void => reject(new Error('the page does not show the guest'));
    setTimeout(late, LIMIT_MS).unref();
  });
  await Promise.race([page.evaluate('guestIsShown'), timeout]);
}
