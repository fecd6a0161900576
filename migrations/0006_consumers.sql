-- Which consumers are awake, so that they share the partitions evenly.

create table analytics.consumers (
  owner text primary key,
  expires_at timestamptz not null
) with (fillfactor = 50);

comment on table analytics.consumers is
  'The consumers that are awake, each by its owner in stream_offsets: they share the streams evenly.';
comment on column analytics.consumers.owner is 'The consumer''s name in its leases.';
comment on column analytics.consumers.expires_at is
  'When it counts as gone unless it has said again that it is awake.';
