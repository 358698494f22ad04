import { defineConfig, type OxlintOverride } from 'oxlint';

/**
 * The layers of src/lib, top first: of its folders a folder may import from those named beside it and from itself; the
 * files directly in src/lib are for all. docs/adr/0002-layers.md says why. `npm run lint` refuses the rest, and cycles,
 * also of types.
 */
const LAYERS: Record<string, string[]> = {
  tasks: ['cli', 'io', 'output', 'cluster', 'vm', 'access', 'console', 'sandbox'],
  cli: ['io', 'output', 'cluster', 'vm', 'sandbox'],
  io: [],
  output: [],
  cluster: [],
  vm: ['cluster'],
  access: ['vm', 'cluster'],
  console: ['vm', 'cluster'],
  guest: [],
  sandbox: ['vm', 'cluster', 'guest'],
};

/** Libraries that only one folder may import. */
const HOMES: Record<string, string[]> = {
  io: ['chalk', '@inquirer/*'],
  cluster: ['@kubernetes/client-node', '@kubernetes/client-node/**'],
};

/** What a process has, and a command in a test has not: both get it as `Runtime`. */
const STREAMS = ['stdin', 'stdout', 'stderr'].map((property) => ({
  object: 'process',
  property,
  message: 'use Runtime or Terminal (src/lib/io)',
}));

const folders = Object.keys(LAYERS);

interface ImportPattern {
  group: string[];
  message: string;
}

const homed = (folder: string): ImportPattern[] =>
  Object.entries(HOMES)
    .filter(([home]) => home !== folder)
    .flatMap(([home, group]) => ({ group, message: `only src/lib/${home} imports this` }));

/** Everything that is not below this folder in the layers. */
function outside(folder: string): ImportPattern {
  const below = LAYERS[folder] ?? [];
  return {
    group: [
      '**/commands/**',
      ...folders
        .filter((other) => other !== folder && !below.includes(other))
        .flatMap((other) => ['../', '../../', '../../../'].map((up) => `${up}${other}/**`)),
    ],
    message: `src/lib/${folder} may import from: ${['its files', ...below].join(', ')}`,
  };
}

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'node'],
  options: { typeAware: true },
  categories: { correctness: 'error', suspicious: 'error' },
  rules: {
    'import/no-cycle': ['error', { ignoreTypes: false }],
    'no-console': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/await-thenable': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/consistent-type-imports': 'error',
    // Off where the code reads better without them: a parameter may repeat an outer name, loops await on purpose,
    // sorting a fresh array in place harms nobody, and a helper may stand where it is used.
    'no-shadow': 'off',
    'no-await-in-loop': 'off',
    'no-underscore-dangle': 'off',
    'import/no-unassigned-import': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/no-array-reverse': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'no-restricted-imports': ['error', { patterns: homed('') }],
    'no-restricted-properties': ['error', ...STREAMS],
  },
  overrides: [
    {
      // Commands start and stop the sandbox's process; inside it they have no business.
      files: ['src/commands/**/*.ts', 'src/main.ts'],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              ...homed(''),
              {
                group: ['**/lib/sandbox/**', '!**/lib/sandbox/index.ts'],
                message: 'only sandbox/index.ts is for others',
              },
            ],
          },
        ],
      },
    },
    ...folders.map((folder): OxlintOverride => ({
      files: [`src/lib/${folder}/**/*.ts`],
      rules: { 'no-restricted-imports': ['error', { patterns: [...homed(folder), outside(folder)] }] },
    })),
    {
      files: ['src/lib/io/runtime.ts', 'src/main.ts', 'bin/*.js'],
      rules: { 'no-restricted-properties': 'off' },
    },
    {
      files: ['test/**/*.ts', 'scripts/**/*.ts', 'bench/**/*.ts'],
      rules: {
        // node:test's own functions return promises that nobody awaits, and assertions are handed around.
        'typescript/no-floating-promises': 'off',
        'typescript/unbound-method': 'off',
        'no-console': 'off',
        'no-restricted-properties': 'off',
        'no-restricted-imports': 'off',
      },
    },
  ],
  ignorePatterns: ['dist', 'node_modules'],
});
