-- Where a batch's trace goes on (W3C traceparent), so that its fold can link to it. Null untraced.

alter table analytics.ingestion_batches add column traceparent text;
comment on column analytics.ingestion_batches.traceparent is
  'Where the batch''s trace goes on (W3C traceparent); null untraced.';
