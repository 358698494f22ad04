/** A picture as it is in a binary PPM file. */
export interface Picture {
  width: number;
  height: number;
  /** Three bytes each, row after row. */
  pixels: Buffer;
}

export function parsePpm(file: Buffer): Picture {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(file.subarray(0, 64).toString('latin1'));
  if (header === null) throw new Error('not a binary PPM file');
  const [all, width, height] = header;
  return { width: Number(width), height: Number(height), pixels: file.subarray(all.length) };
}

function row({ width, pixels }: Picture, y: number): Buffer {
  return pixels.subarray(y * width * 3, (y + 1) * width * 3);
}

/** How often the colour changes in a row. */
function changes(line: Buffer): number {
  let count = 0;
  for (let at = 3; at < line.length; at += 3) {
    if (line.readUIntBE(at, 3) !== line.readUIntBE(at - 3, 3)) count += 1;
  }
  return count;
}

/**
 * How much of `part` is to be seen in `whole` at one place and in its own size: the share of its rows that are there
 * pixel by pixel. A cursor that blinks costs some rows.
 */
export function shareShown(part: Picture, whole: Picture): number {
  const rows = Array.from({ length: part.height }, (_, y) => row(part, y));
  // The row that is least likely to be there by chance tells the place.
  const telling = rows.reduce(
    (best, line, y) => {
      const count = changes(line);
      return count > best.count ? { count, y } : best;
    },
    { count: 0, y: -1 },
  );
  const wanted = rows[telling.y];
  if (wanted === undefined) return 0;
  for (let y = telling.y; y < whole.height; y++) {
    const at = row(whole, y).indexOf(wanted);
    if (at < 0 || at % 3 !== 0) continue;
    const top = y - telling.y;
    const same = rows.filter((line, index) =>
      row(whole, top + index)
        .subarray(at, at + line.length)
        .equals(line),
    );
    return same.length / part.height;
  }
  return 0;
}
