import { roles } from '../access.ts';
import { faultsToldMax } from '../platform/errors.ts';
import { problem } from './answer-parts.ts';
import { type Json, JsonSchemas } from './json-schema.ts';
import { type Answer, type Content, type Operation, tags } from './operation.ts';
import { parameterComponents, parametersOf } from './parameters.ts';
import { rateLimitHeaders, refusalResponses } from './refusals.ts';

const description = `Usage and spend, reliability and freshness of AI inference, by tenant.

**Who asks.** The gateway in front names the actor: \`X-Actor-Subject\`, \`X-Actor-Roles\` and
\`X-Actor-Orgs\`, which count only beside a matching \`X-Gateway-Secret\` where one is configured.
Where the service runs with \`AUTH_MODE=jwt\` it is a bearer token with the claims \`sub\`, \`roles\` and
\`orgs\`. A role grants an action, the org list says where; \`admin\` may do everything everywhere.

**Times** are RFC 3339, windows half-open, costs in cents with at most 4 decimals.

**Refusals** are \`application/problem+json\` (RFC 9457), and tell at most ${faultsToldMax} faults. A parameter
or a field that is not known is refused rather than ignored, except in usage events. A path that is
known is answered 405 to another method, with \`Allow\`; \`HEAD\` is taken wherever \`GET\` is.
What cannot be read as a request of HTTP/1.1 is refused in the same form before it reaches an
operation: 400, 408 (too slow), 413, 417 or 431 (address and headers may be 16 KiB together).

**Bodies** may be packed: \`Content-Encoding: gzip\`. Their limits hold for what they are unpacked.

**Every answer** carries \`X-Request-Id\`: the caller's own where it is well formed (1 to 128 letters,
digits, \`.\`, \`_\`, \`:\` or \`-\`), else a new one. Answers may gain fields: ignore those you do not know.`;

const header = (text: string, schema: Json = { type: 'string' }, required = true) => ({
  description: text,
  required,
  schema,
});

const headers = {
  'X-Request-Id': header('Names this request in the log.'),
  'Retry-After': header('Seconds to wait before asking again.', { type: 'integer', minimum: 1 }),
  'WWW-Authenticate': header('How to say who asks.'),
  'Accept-Encoding': header(
    'What a body may be packed by, where that was what is wrong.',
    { type: 'string' },
    false,
  ),
  'RateLimit-Policy': header(
    'How many requests an actor has in how many seconds. Absent where there is no limit.',
    { type: 'string', pattern: '^"actor";q=\\d+;w=\\d+$' },
    false,
  ),
  RateLimit: header(
    'How many of them are left, and in how many seconds there are new ones.',
    { type: 'string', pattern: '^"actor";r=\\d+;t=\\d+$' },
    false,
  ),
};

const apiKey = (name: string, text: string) => ({
  type: 'apiKey',
  in: 'header',
  name,
  description: text,
});

const securitySchemes = {
  ActorSubject: apiKey('X-Actor-Subject', 'Who asks. Set by the gateway.'),
  ActorRoles: apiKey('X-Actor-Roles', `Comma-separated, of ${Object.values(roles).join(', ')}.`),
  ActorOrgs: apiKey('X-Actor-Orgs', 'Ids of the orgs that the actor belongs to, comma-separated.'),
  GatewaySecret: apiKey('X-Gateway-Secret', 'Proves that the gateway set the others.'),
  Bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'With the claims sub, roles and orgs. Where AUTH_MODE is jwt.',
  },
};

const gateway = { ActorSubject: [], ActorRoles: [], ActorOrgs: [] };
/** One of these is enough. */
const actorSecurity = [gateway, { ...gateway, GatewaySecret: [] }, { Bearer: [] }];

/** One OpenAPI 3.1 document of all operations. */
export function openApiDocument(operations: readonly Operation[]): Json {
  const schemas = new JsonSchemas();
  schemas.of(problem);
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method]: operationObject(operation, schemas),
    };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Analytics Service',
      version: '1',
      description,
      contact: { name: 'Those who run this service' },
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/analytics/v1', description: 'Where this document was read.' }],
    tags: Object.entries(tags).map(([name, text]) => ({ name, description: text })),
    paths,
    components: {
      schemas: schemas.components,
      parameters: parameterComponents(schemas),
      headers,
      securitySchemes,
    },
  };
}

function operationObject(operation: Operation, schemas: JsonSchemas): Json {
  const { operationId, tag, summary, access, body } = operation;
  const parameters = parametersOf(operation, schemas);
  return {
    operationId,
    tags: [tag],
    summary,
    description: `${operation.description}\n\n${accessText(operation)}`,
    ...(Array.isArray(access) ? { 'x-roles': access } : {}),
    security: access === 'everybody' ? [] : actorSecurity,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: contents(body, schemas) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(operation.answers).map(([status, answer]) => [
          status,
          answerObject(answer, access, schemas),
        ]),
      ),
      ...refusalResponses(operation, schemas),
    },
  };
}

function accessText({ access, path }: Operation): string {
  if (access === 'everybody') return 'Open to everybody.';
  if (access === 'any actor') return 'Open to any actor.';
  const names = [...new Set([...access, roles.admin])].map((role) => `\`${role}\``).join(' or ');
  return `Needs the role ${names}${path.includes('{orgId}') ? ', and the org among the actor’s own (not for `admin`)' : ''}.`;
}

function answerObject(answer: Answer, access: Operation['access'], schemas: JsonSchemas): Json {
  const shared = ['X-Request-Id', ...(access === 'everybody' ? [] : rateLimitHeaders)];
  const more = Object.entries(answer.headers ?? {}).map(([name, text]) => [name, header(text)]);
  return {
    description: answer.description,
    headers: {
      ...Object.fromEntries(shared.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
      ...Object.fromEntries(more),
    },
    ...(answer.content === undefined ? {} : { content: contents(answer.content, schemas) }),
  };
}

function contents(content: Readonly<Record<string, Content>>, schemas: JsonSchemas): Json {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, examples }]) => [
      type,
      {
        schema: schemas.of(schema),
        examples: Object.fromEntries(
          Object.entries(examples).map(([name, value]) => [name, { value }]),
        ),
      },
    ]),
  );
}
