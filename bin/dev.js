#!/usr/bin/env node
// vmop from its TypeScript sources, without building.
const path = require('node:path');

void import('../src/main.ts').then((vmop) => vmop.start(path.join(__dirname, '..')));
