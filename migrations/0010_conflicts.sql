-- Conflicts are told: events that came again with other content, or with another time, and were not
-- stored. Stream and batch counts had them already; runs of verify have them from now on.
alter table analytics.data_quality_runs
  add column conflicts_24h bigint not null default 0;
comment on column analytics.data_quality_runs.conflicts_24h is
  'Events of batches of the last 24 hours that were turned away as conflicts: no failure, but something that a producer has to mend.';

comment on column analytics.ingestion_batches.duplicates is
  'Events that were stored before, or came twice in the batch; conflicts are among them.';
comment on column analytics.ingestion_batches.conflicts is
  'Those of the duplicates that differ from what is stored: in their content, or, coming again within an hour, in their time. Their bytes are in the dead-letter queue.';
comment on column analytics.stream_offsets.events_conflicting is
  'Duplicates with another content or time since the beginning.';
comment on column analytics.ingestion_by_hour.conflicts is
  'Those of the duplicates whose content or time differs.';
