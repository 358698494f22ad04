/** A five pixel high font for names on the guest's text screen: rows from top to bottom, `#` is lit. */
const GLYPHS: Record<string, string> = {
  a: '.##. #..# #### #..# #..#',
  b: '###. #..# ###. #..# ###.',
  c: '.### #... #... #... .###',
  d: '###. #..# #..# #..# ###.',
  e: '#### #... ###. #... ####',
  f: '#### #... ###. #... #...',
  g: '.### #... #.## #..# .###',
  h: '#..# #..# #### #..# #..#',
  i: '# # # # #',
  j: '...# ...# ...# #..# .##.',
  k: '#..# #.#. ##.. #.#. #..#',
  l: '#... #... #... #... ####',
  m: '#...# ##.## #.#.# #...# #...#',
  n: '#..# ##.# #.## #..# #..#',
  o: '.##. #..# #..# #..# .##.',
  p: '###. #..# ###. #... #...',
  q: '.##. #..# #..# #.#. .#.#',
  r: '###. #..# ###. #.#. #..#',
  s: '.### #... .##. ...# ###.',
  t: '##### ..#.. ..#.. ..#.. ..#..',
  u: '#..# #..# #..# #..# .##.',
  v: '#...# #...# #...# .#.#. ..#..',
  w: '#...# #...# #.#.# ##.## #...#',
  x: '#..# #..# .##. #..# #..#',
  y: '#...# .#.#. ..#.. ..#.. ..#..',
  z: '#### ...# .##. #... ####',
  0: '.##. #..# #..# #..# .##.',
  1: '.# ## .# .# .#',
  2: '###. ...# .##. #... ####',
  3: '###. ...# .##. ...# ###.',
  4: '#..# #..# #### ...# ...#',
  5: '#### #... ###. ...# ###.',
  6: '.##. #... ###. #..# .##.',
  7: '#### ...# ..#. .#.. .#..',
  8: '.##. #..# .##. #..# .##.',
  9: '.##. #..# .### ...# .##.',
  '-': '... ... ### ... ...',
  _: '.... .... .... .... ####',
  '.': '. . . . #',
};

/** Two pixel rows in one character row: what is lit above and below. */
const HALVES: Record<string, string> = { '..': ' ', '#.': '▀', '.#': '▄', '##': '█' };

/** The three character rows of one letter, a column of space after each; undefined where the font has none. */
export function bigLetter(character: string): readonly [string, string, string] | undefined {
  const rows = GLYPHS[character]?.split(' ');
  if (rows === undefined) return undefined;
  const width = rows[0]?.length ?? 0;
  const row = (upper: number): string =>
    [...Array(width).keys()]
      .map((column) => HALVES[`${rows[upper]?.[column] ?? '.'}${rows[upper + 1]?.[column] ?? '.'}`] ?? ' ')
      .join('') + ' ';
  return [row(0), row(2), row(4)];
}

/** A shell function `letter C` that sets `l1` to `l3` to the rows of a letter and `lw` to its width; blank where the font has none. */
export function bigLettersShell(): string {
  const cases = Object.keys(GLYPHS).map((character) => {
    const rows = bigLetter(character) ?? ['', '', ''];
    return `  ${character}) lw=${rows[0].length} ${rows.map((row, index) => `l${index + 1}='${row}'`).join(' ')} ;;`;
  });
  return [
    'letter() {',
    '  case $1 in',
    ...cases,
    "  *) lw=2 l1='  ' l2='  ' l3='  ' ;;",
    '  esac',
    '}',
    '',
  ].join('\n');
}
