import type { Supervisor } from './supervisor.ts';

/** What a server of ours is given when it is started from Debian's packages. */
export interface LocalServer {
  /** Its own, private, existing folder; short-lived unless `keep`. */
  folder: string;
  supervisor: Supervisor;
  /** Data must survive a stop and a start. */
  keep: boolean;
}
