import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import * as z from 'zod';

const composeForm = z.object({
  services: z.object({
    rabbitmq: z.object({
      environment: z.object({
        RABBITMQ_DEFAULT_USER: z.string(),
        RABBITMQ_DEFAULT_PASS: z.string(),
      }),
      ports: z.tuple([z.templateLiteral([z.string(), ':5672'])]),
      // What `up --wait` waits for.
      healthcheck: z.object({ test: z.array(z.string()) }),
    }),
  }),
});

/**
 * The address of the broker that `docker compose up rabbitmq` starts when nothing is set.
 *
 * @throws Error when compose.yaml has no such service, or one that cannot be waited for.
 */
export async function composeBroker(): Promise<string> {
  const text = await readFile(new URL('../../compose.yaml', import.meta.url), 'utf8');
  const withDefaults = text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1');
  const { environment, ports } = composeForm.parse(parse(withDefaults)).services.rabbitmq;
  const { RABBITMQ_DEFAULT_USER: user, RABBITMQ_DEFAULT_PASS: password } = environment;
  return `amqp://${user}:${password}@${ports[0].replace(/:5672$/, '')}`;
}
