import { createAppendingView } from './live-append.ts';
import { isTable, type LiveOptions, type LiveView } from './live-options.ts';
import { createScreenView } from './live-screen.ts';

export type { LiveOptions, LiveTarget, LiveView } from './live-options.ts';

/** In place on a terminal with a format for people, appended otherwise. */
export function createLiveView<Row>(options: LiveOptions<Row>): LiveView<Row> {
  return options.target.isScreen && isTable(options.format)
    ? createScreenView(options)
    : createAppendingView(options);
}
