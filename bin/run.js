#!/usr/bin/env node
// Understood by any Node: an old one gets one clear line instead of a syntax error.
var parts = process.versions.node.split('.');
if (Number(parts[0]) < 22 || (Number(parts[0]) === 22 && Number(parts[1]) < 19)) {
  process.stderr.write('vmop needs Node.js 22.19 or newer; this is ' + process.versions.node + '\n');
  process.exit(1);
}
void import('../dist/main.js').then(function (vmop) {
  return vmop.start(new URL('..', import.meta.url));
});
