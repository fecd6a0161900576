// Publishes usage events, one JSON object a line of standard input: see ../README.md.
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { connect } from 'amqplib';

const { RABBITMQ_URL = 'amqp://127.0.0.1', RABBITMQ_STREAM = 'analytics.usage.v1' } = process.env;
const partitions = Number(process.env.RABBITMQ_STREAM_PARTITIONS ?? 1);

function queueOf(orgId: string): string {
  const hash = createHash('sha256').update(orgId.toLowerCase()).digest().readUInt32BE(0);
  return partitions === 1 ? RABBITMQ_STREAM : `${RABBITMQ_STREAM}-${hash % partitions}`;
}

const connection = await connect(RABBITMQ_URL);
const channel = await connection.createConfirmChannel();
const returned: string[] = [];
channel.on('return', ({ fields }) => returned.push(fields.routingKey));
for (const line of (await text(process.stdin)).split('\n').filter(Boolean)) {
  const { eventId, orgId }: { eventId: string; orgId: string } = JSON.parse(line);
  const options = { mandatory: true, persistent: true, messageId: eventId };
  channel.publish('', queueOf(orgId), Buffer.from(line), options);
}
await channel.waitForConfirms(); // Throws where the broker refuses one.
await connection.close();
if (returned.length > 0) throw new Error(`no such queue: ${[...new Set(returned)].join(', ')}`);
