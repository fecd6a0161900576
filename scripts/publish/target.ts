import type { Settings } from '../../shared/env.ts';
import { openHttpTarget } from './http-target.ts';
import type { Target } from './outgoing.ts';
import { openStreamTarget } from './stream-target.ts';

export const targetKinds = ['stream', 'http'] as const;
export type TargetKind = (typeof targetKinds)[number];

export interface TargetOptions {
  to: TargetKind;
  /** The API's address without a path. */
  url: string;
}

/** @param subject who sends, for the audit line of each POST */
export async function openTarget(
  { to, url }: TargetOptions,
  subject: string,
  settings: Settings,
): Promise<Target> {
  return to === 'stream' ? openStreamTarget(settings) : openHttpTarget(url, subject, settings);
}
