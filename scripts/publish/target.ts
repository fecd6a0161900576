import type { Settings } from '../../shared/platform/env.ts';
import type { Actor } from '../cli/actor.ts';
import { openHttpTarget } from './http-target.ts';
import type { Target } from './outgoing.ts';
import { openStreamTarget } from './stream-target.ts';

export const targetKinds = ['stream', 'http'] as const;
export type TargetKind = (typeof targetKinds)[number];

export interface TargetOptions {
  to: TargetKind;
  /** The API's address without a path. */
  url: string;
  /** Who sends over HTTP. */
  actor: Actor;
}

export async function openTarget(
  { to, url, actor }: TargetOptions,
  settings: Settings,
): Promise<Target> {
  return to === 'stream' ? openStreamTarget(settings) : openHttpTarget(url, actor);
}
