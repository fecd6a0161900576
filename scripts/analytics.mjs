#!/usr/bin/env node
// The command line, straight from its sources: a clean clone needs no build, and a command loads
// only what it takes.
import { register } from 'tsx/esm/api';

// Deployed functions run on Node 24; on 20 the SDK would print five lines about it.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
register();
// `analytics … | head` reads no further: nothing is wrong.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));
const { runAnalytics } = await import('./cli/main.ts');
process.exitCode = await runAnalytics(process.argv.slice(2));
// What a client leaves open behind it must not keep a command that is done.
setTimeout(() => process.exit(), 3_000).unref();
