-- Events that are refused before the stream, by whoever takes them over HTTP, are counted with the
-- batch that brings their number: what is rejected is more than dead letters.
comment on column analytics.ingestion_batches.rejected is
  'Events that were not valid: messages sent to the dead-letter queue, and events refused over HTTP.';
comment on column analytics.stream_offsets.events_rejected is
  'Events that were not valid since the beginning, those refused over HTTP included.';
comment on column analytics.ingestion_by_hour.received is
  'Events: stored + duplicates + rejected.';
comment on column analytics.ingestion_by_hour.rejected is
  'Events that were not valid: messages sent to the dead-letter queue, and events refused over HTTP.';
comment on column analytics.ingestion_batches.received is
  'Events: stored + duplicates + rejected.';
