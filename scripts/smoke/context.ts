import type { Actor } from '../cli/actor.ts';
import type { Api } from './api.ts';
import type { Plan } from './events.ts';

/** What the checks of a run have in common. */
export interface SmokeContext {
  api: Api;
  /** Who asks. */
  as: Actor;
  plan: Plan;
  /** How long each thing that takes its time is waited for. */
  timeoutMs: number;
}
