-- How many messages wait in the dead-letter queue, for /metrics, which asks no broker.

create table analytics.dead_letter_queues (
  queue text primary key,
  messages bigint not null,
  probed_at timestamptz not null
) with (fillfactor = 50);

comment on table analytics.dead_letter_queues is
  'How many messages wait in the dead-letter queue, as the refresh last saw it.';
comment on column analytics.dead_letter_queues.queue is 'The queue.';
comment on column analytics.dead_letter_queues.messages is
  'Messages that wait there; those that npm run dlq holds just then are not among them.';
comment on column analytics.dead_letter_queues.probed_at is 'When they were counted.';
