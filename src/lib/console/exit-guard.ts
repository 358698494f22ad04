/**
 * Synchronous clean-ups for a process that ends before its own order of things does: `process.exit`, an uncaught
 * error, or a signal that nobody else handles.
 */
const cleanups = new Set<() => void>();

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `cleanup` when the process ends; the result takes it back. It must not throw. */
export function onProcessEnd(cleanup: () => void): () => void {
  if (cleanups.size === 0) {
    process.on('exit', runAll);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  cleanups.add(cleanup);
  return () => {
    if (cleanups.delete(cleanup) && cleanups.size === 0) stopListening();
  };
}

function runAll(): void {
  for (const cleanup of cleanups) cleanup();
  cleanups.clear();
  stopListening();
}

function stopListening(): void {
  process.off('exit', runAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  // Another listener will end the process in its own time, and 'exit' comes then.
  if (process.listenerCount(signal) > 1) return;
  runAll();
  // With our listener gone the signal has its usual effect.
  process.kill(process.pid, signal);
}
