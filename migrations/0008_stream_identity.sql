-- A stream has no identity that AMQP would tell: one that was deleted and made anew is known by its
-- messages. Where it had been read to, another message lies, or none.

alter table analytics.stream_offsets
  add column committed_digest text,
  add column seen_offset bigint;

comment on column analytics.stream_offsets.committed_digest is
  'The offset it belongs to, and the first 16 hexadecimal digits of the SHA-256 of the message there: tells a stream that was made anew.';
comment on column analytics.stream_offsets.seen_offset is
  'The greatest offset that was ever seen in the stream as it is now: how far it was known to reach, should it be deleted.';
comment on column analytics.stream_offsets.messages_lost is
  'Offsets that went, with the stream or by its retention, before they were read.';
