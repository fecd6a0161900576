import { neonConfig } from '@neondatabase/serverless';
import { inject } from 'vitest';
// Brings the types of what hosted-setup provides.
import type {} from './hosted.ts';

/** Runs before each file of the project `hosted`: the driver's settings belong to the process. */
const hosted = inject('hosted');
if (hosted === undefined) throw new Error('there are no relays: hosted-setup did not run');
neonConfig.wsProxy = hosted.neon.relay;
neonConfig.useSecureWebSocket = false;
neonConfig.pipelineConnect = false;
