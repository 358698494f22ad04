import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepClock } from '../../../src/lib/tasks/console-clock.ts';

test('each step has its time, and a step that is said again is one', () => {
  let now = 100;
  const clock = new StepClock(() => now);
  now = 110;
  clock.step('gates');
  now = 150;
  clock.step('calling');
  clock.step('calling');
  now = 1450;
  assert.deepEqual(clock.lines(), ['   0.040 s  gates', '   1.300 s  calling', '   1.350 s  in all']);
});
