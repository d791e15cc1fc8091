// What a browser tells a page about itself. Nothing of it is there in Node.

interface Watcher {
  /** The page is shown, or the machine is online again. */
  hurry(): void;
  /** The page is left; it may be kept, and come back. */
  leave(): void;
  /** It came back. */
  enter(): void;
}

/** Whether the page is hidden: its timers run seldom then. */
export function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Calls the watcher until the function that is returned is called. */
export function watchPage({ hurry, leave, enter }: Watcher): () => void {
  const { document } = globalThis;
  const events: [EventTarget | undefined, string, () => void][] = [
    [globalThis as unknown as EventTarget, 'online', hurry],
    [globalThis as unknown as EventTarget, 'pagehide', leave],
    [globalThis as unknown as EventTarget, 'pageshow', enter],
    [document, 'visibilitychange', () => isHidden() || hurry()],
  ];
  for (const [target, event, act] of events) {
    target?.addEventListener?.(event, act);
  }
  return () => {
    for (const [target, event, act] of events) {
      target?.removeEventListener?.(event, act);
    }
  };
}
