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
  assert.deepEqual(clock.stop(), ['   0.040 s  gates', '   1.300 s  calling', '   1.350 s  in all']);
  now = 9_000_000;
  clock.step('what the person does');
  assert.deepEqual(clock.stop(), [], 'it is told once, and hours of a session are nobody’s waiting');
});
