import { connect } from 'amqplib';
import * as z from 'zod';

export interface DeadLetter {
  content: Buffer;
  messageId: unknown;
  reasons: string[];
  sourceStream: string;
  sourceOffset: number;
  isConflict: boolean;
}

const headersOfReject = z.object({
  'x-reasons': z.string().transform((text) => z.array(z.string()).parse(JSON.parse(text))),
  'x-source-stream': z.string(),
  'x-source-offset': z.number(),
  'x-conflict': z.boolean().optional(),
});

/** Everything that waits in a dead-letter queue, taken out of it. */
export async function drainDeadLetters(url: string, queue: string): Promise<DeadLetter[]> {
  const connection = await connect(url);
  try {
    const channel = await connection.createChannel();
    const letters: DeadLetter[] = [];
    for (;;) {
      const message = await channel.get(queue, { noAck: true });
      if (message === false) return letters;
      const headers = headersOfReject.parse(message.properties.headers);
      letters.push({
        content: message.content,
        messageId: message.properties.messageId,
        reasons: headers['x-reasons'],
        sourceStream: headers['x-source-stream'],
        sourceOffset: headers['x-source-offset'],
        isConflict: headers['x-conflict'] === true,
      });
    }
  } finally {
    await connection.close();
  }
}
