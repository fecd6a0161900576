/** One fault of the suite: what is done, in words for docs/reliability.md, and which file does it. */
export interface FaultEntry {
  what: string;
  file: string;
}

/**
 * Every fault that the suite provokes, by the name of its test. A test holds that each is a
 * `faultTest` of its file, and that each `faultTest` is here.
 */
export const faults = {
  'consumer-killed': {
    what: 'SIGKILL of the consumer; the platform starts it again',
    file: 'test/faults/processes.test.ts',
  },
  'postgres-killed': {
    what: 'SIGKILL of the PostgreSQL postmaster; started again, it recovers from its log',
    file: 'test/faults/processes.test.ts',
  },
  'rabbitmq-killed': {
    what: 'SIGKILL of the RabbitMQ node; started again on what it left behind',
    file: 'test/faults/processes.test.ts',
  },
  'redis-killed': {
    what: 'SIGKILL of Redis, which loses what it cached; readers go on',
    file: 'test/faults/processes.test.ts',
  },
  'postgres-cut': {
    what: 'network to PostgreSQL reset and refused, then silent, then back',
    file: 'test/faults/network.test.ts',
  },
  'rabbitmq-cut': {
    what: 'network to RabbitMQ reset and refused, then silent, then back',
    file: 'test/faults/network.test.ts',
  },
  'redis-cut': {
    what: 'network to Redis reset and refused, then silent, then back; readers go on',
    file: 'test/faults/network.test.ts',
  },
  'postgres-slow': {
    what: 'each stretch of bytes to and from PostgreSQL takes 20 ms and passes at 1 MB/s',
    file: 'test/faults/network.test.ts',
  },
  'rabbitmq-slow': {
    what: 'each stretch of bytes to and from RabbitMQ takes 20 ms and passes at 1 MB/s',
    file: 'test/faults/network.test.ts',
  },
  'redis-slow': {
    what: 'each stretch of bytes to and from Redis takes 400 ms; readers go on',
    file: 'test/faults/network.test.ts',
  },
  'disk-full': {
    what: 'no space is left for the database, log and all, until some is made',
    file: 'test/faults/database.test.ts',
  },
  'database-read-only': {
    what: 'default_transaction_read_only is switched on, and off again',
    file: 'test/faults/database.test.ts',
  },
  'failover-read-only': {
    what: 'a standby that lacks the last commits takes over, read-only until it is promoted',
    file: 'test/faults/database.test.ts',
  },
  'connections-exhausted': {
    what: 'others take every connection that PostgreSQL has, and all sessions of ours are ended',
    file: 'test/faults/database.test.ts',
  },
  deadlocks: {
    what: 'other transactions lock the rows and tables that batches write, in the other order',
    file: 'test/faults/database.test.ts',
  },
  'serialization-errors': {
    what: 'transactions are serializable by default, and others write the same rows meanwhile',
    file: 'test/faults/database.test.ts',
  },
  'stream-truncated-while-away': {
    what: 'retention removes what the consumer, which is away, has not read: unavoidable loss, counted',
    file: 'test/faults/stream.test.ts',
  },
  'stream-truncated-under-the-reader': {
    what: 'retention overtakes a consumer that the database holds up: unavoidable loss, counted',
    file: 'test/faults/stream.test.ts',
  },
  'stream-offset-beyond-the-head': {
    what: 'the stored offset lies a million beyond the head of the stream',
    file: 'test/faults/stream.test.ts',
  },
  'stream-remade-while-away': {
    what: 'the stream is deleted and made anew while no consumer runs, and grows past the stored offset',
    file: 'test/faults/stream.test.ts',
  },
  'stream-remade-unread': {
    what: 'the stream is deleted with messages nobody has read: unavoidable loss, counted',
    file: 'test/faults/stream.test.ts',
  },
  'stream-remade-while-reading': {
    what: 'the stream is deleted under the consumer, which makes it anew',
    file: 'test/faults/stream.test.ts',
  },
  'messages-poisoned': {
    what: 'a message of each kind that is no valid event, amid good ones: all in the dead-letter queue, byte for byte',
    file: 'test/faults/messages.test.ts',
  },
  'messages-of-10-mb': {
    what: 'messages of 10 MB, far more of them than fit into the consumer’s memory at once',
    file: 'test/faults/messages.test.ts',
  },
  'messages-repeated': {
    what: 'one event sent 50,000 times (a million in the long form)',
    file: 'test/faults/messages.test.ts',
  },
  'dead-letters-full': {
    what: 'the dead-letter queue takes no more while invalid messages arrive, until there is room',
    file: 'test/faults/messages.test.ts',
  },
  'dead-letters-deleted': {
    what: 'the dead-letter queue is deleted while invalid messages arrive',
    file: 'test/faults/messages.test.ts',
  },
  'deployments-overlap': {
    what: 'consumers with other batch settings and another number of partitions start, run beside the old one, and are rolled back, each ended by SIGTERM',
    file: 'test/faults/deployments.test.ts',
  },
  'clock-of-the-consumer': {
    what: 'the clock of the consumer’s machine jumps by hours and by years, ahead and back',
    file: 'test/faults/deployments.test.ts',
  },
  'clock-of-the-database': {
    what: 'the clock of the database’s machine jumps by hours, ahead and back, right after the consumer is killed',
    file: 'test/faults/deployments.test.ts',
  },
} as const satisfies Record<string, FaultEntry>;

export type FaultName = keyof typeof faults;
