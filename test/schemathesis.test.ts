import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Server, serve } from '../shared/http/serve.ts';
import { exampleIds } from '../shared/openapi/examples.ts';
import { actorHeaders } from './support/event-json.ts';
import { ensureSchemathesis, type Phase, schemathesis } from './support/schemathesis.ts';
import { knownComplaints } from './support/schemathesis-complaints.ts';
import { type System, startSystem } from './support/system.ts';
import { usageEvent } from './support/usage-events.ts';

const hasSchemathesis = await ensureSchemathesis();
const runMs = 190_000;

describe.skipIf(!hasSchemathesis)(
  'schemathesis asks whatever the document allows and forbids',
  () => {
    const { org, model } = exampleIds;
    let system: System;
    let server: Server;

    beforeAll(async () => {
      system = await startSystem({ stream: false });
      server = await serve(system.app, { PORT: 0, HTTP_PORT: 0, HTTP_HOST: '127.0.0.1' });
      const events = Array.from({ length: 500 }, (_, index) =>
        usageEvent({ orgId: org, modelId: model, occurredAtMs: Date.now() - index * 600_000 }),
      );
      await system.sink.accept(events);
      await system.refresh();
    });
    afterAll(async () => {
      await server?.close();
      await system?.close();
    });

    const everyRole = [
      'analytics:usage:read',
      'analytics:reliability:read',
      'analytics:exports:create',
      'analytics:exports:read',
      'analytics:exports:download',
      'analytics:events:write',
    ];
    const runs: [string, Record<string, string>, Phase[]][] = [
      ['an admin', actorHeaders(['admin']), ['examples', 'coverage', 'fuzzing', 'stateful']],
      // What a schema says is the same for everybody.
      ['a member of one org', actorHeaders(everyRole, [org]), ['examples', 'fuzzing', 'stateful']],
    ];
    test.each(runs)(
      'as %s, and has nothing against the answers but what is known',
      async (_, headers, phases) => {
        const document = `http://127.0.0.1:${server.port}/analytics/v1/openapi.json`;
        const complaints = await schemathesis(document, headers, phases);
        const others = complaints.filter(
          ({ code, operation, detail }) =>
            !knownComplaints.some(
              (known) =>
                known.code === code && known.operation.test(operation) && known.detail.test(detail),
            ),
        );
        expect(others).toEqual([]);
      },
      runMs,
    );
  },
);
