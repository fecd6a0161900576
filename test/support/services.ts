import { inject } from 'vitest';
import type { ServiceEnv } from '../../scripts/services/service-env.ts';
// Brings the types of what global-setup provides.
import type {} from './global-setup.ts';

/** Where the real servers of this test run are. */
export function services(): ServiceEnv {
  return inject('services');
}
