/** One fault of the suite: what is done, in words for docs/reliability.md, and which file does it. */
export interface FaultEntry {
  what: string;
  file: string;
}

/**
 * Every fault that the suite provokes, by the name of its test. A test holds that each is a
 * `faultTest` of its file, and that each `faultTest` is here.
 */
export const faults = {
  'consumer-killed': {
    what: 'SIGKILL of the consumer at random moments; the platform starts it again',
    file: 'test/faults/processes.test.ts',
  },
} as const satisfies Record<string, FaultEntry>;

export type FaultName = keyof typeof faults;
