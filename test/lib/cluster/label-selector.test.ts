import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { matchesLabels, parseLabelSelector } from '../../../src/lib/cluster/label-selector.ts';
import { VmopError } from '../../../src/lib/errors.ts';

const LABELS = { team: 'blue', empty: '', 'example.org/rack': '7' };

describe('label selectors that hold, or not', () => {
  const cases: [selector: string, holds: boolean][] = [
    ['', true],
    ['  ', true],
    ['team=blue', true],
    ['team==blue', true],
    ['team = blue', true],
    ['team=red', false],
    ['team!=red', true],
    ['team!=blue', false],
    ['none!=blue', true],
    ['none=', false],
    ['empty=', true],
    ['empty=,team=blue', true],
    ['team in (red, blue)', true],
    ['team in(red,blue)', true],
    ['team in (red)', false],
    ['empty in (red,)', true],
    ['team notin (red)', true],
    ['none notin (red)', true],
    ['team notin (blue)', false],
    ['team', true],
    ['none', false],
    ['!none', true],
    ['! team', false],
    ['team=blue,none', false],
    ['example.org/rack=7', true],
    ['example.org/rack>6', true],
    ['example.org/rack > 7', false],
    ['example.org/rack<8', true],
    ['team<8', false],
    ['none>1', false],
    ['toString', false],
  ];
  for (const [selector, holds] of cases) {
    test(JSON.stringify(selector), () =>
      assert.equal(matchesLabels(parseLabelSelector(selector), LABELS), holds),
    );
  }
});

describe('what is no label selector', () => {
  const cases: [selector: string, because: RegExp][] = [
    ['a=b=c', /"=" stands where a comma should/],
    ['a b', /"b" is no operator/],
    [',', /"," is no label's name/],
    ['a,', /"" is no label's name/],
    ['a in b', /need values in parentheses/],
    ['a in (b', /not closed/],
    ['a in (b c)', /not closed/],
    ['a>b', /"b" is no whole number/],
    ['-a', /"-a" is no label's name/],
    ['a/b/c', /"a\/b\/c" is no label's name/],
    ['A/b', /"A\/b" is no label's name/],
    ['a=b/c', /"b\/c" is no label's value/],
    [`a=${'x'.repeat(64)}`, /is no label's value/],
  ];
  for (const [selector, because] of cases) {
    test(selector, () =>
      assert.throws(
        () => parseLabelSelector(selector),
        (error) => error instanceof VmopError && error.code === 'usage' && because.test(error.message),
      ),
    );
  }
});
