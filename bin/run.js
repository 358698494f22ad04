#!/usr/bin/env node
// Understood by any Node: an old one gets one clear line instead of a syntax error.
var path = require('path');
var parts = process.versions.node.split('.');
if (Number(parts[0]) < 22 || (Number(parts[0]) === 22 && Number(parts[1]) < 19)) {
  process.stderr.write('vmop needs Node.js 22.19 or newer; this is ' + process.versions.node + '\n');
  process.exit(1);
}
var root = path.join(__dirname, '..');
require('../dist/launch.cjs')
  .launch(path.join(root, 'dist', 'main.cjs'), require)
  .start(root);
