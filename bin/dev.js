#!/usr/bin/env node
// vmop from its TypeScript sources, without building.
import { start } from '../src/main.ts';

await start(new URL('..', import.meta.url));
