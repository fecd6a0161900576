import { SpanKind } from '@opentelemetry/api';
import { clientSpanOver, inClientSpan, type SpanDescription } from '../telemetry/tracing.ts';

/** A statement's round trip as a span: what it does and to which table, never its text or values. */
export function inSqlSpan<T>(statement: string, work: () => Promise<T>): Promise<T> {
  return inClientSpan(() => describeSql(statement), work);
}

/** A whole transaction, from the wait for a connection on. Its statements are spans within. */
export function inTransactionSpan<T>(work: () => Promise<T>): Promise<T> {
  const attributes = { 'db.system.name': 'postgresql' };
  return inClientSpan(() => ({ name: 'transaction', kind: SpanKind.INTERNAL, attributes }), work);
}

/** A cursor's rows, from its declaration until the last is read. */
export function sqlSpanOver<T>(statement: string, rows: AsyncIterable<T>): AsyncIterable<T> {
  return clientSpanOver(() => describeSql(statement), rows);
}

/** By OpenTelemetry's conventions for databases: named by the summary. */
function describeSql(statement: string): SpanDescription {
  const summary = summaryOf(statement);
  const [operation = '', table] = summary.split(' ');
  return {
    name: summary,
    attributes: {
      'db.system.name': 'postgresql',
      'db.operation.name': operation,
      'db.query.summary': summary,
      ...(table === undefined ? {} : { 'db.collection.name': table }),
    },
  };
}

/** With its schema, or one of those that are a table or a tenant's view of it; no column, no CTE. */
const firstRead =
  /\b(?:from|join)\s+(analytics\.\w+|(?:usage|error|freshness|ingestion|stream|export)_[a-z]+\b)/i;

/**
 * What a statement does: `INSERT analytics.usage_events`, `SELECT analytics.orgs`, `COMMIT`. A
 * statement that writes is named by its first write, whatever it reads on the way.
 */
export function summaryOf(statement: string): string {
  const write =
    /\b(insert)\s+into\s+([\w.]+)/i.exec(statement) ??
    /\b(delete)\s+from\s+([\w.]+)/i.exec(statement) ??
    /^\s*(update|copy)\s+([\w.]+)/i.exec(statement);
  const [, operation = /\w+/.exec(statement)?.[0] ?? '', written] = write ?? [];
  const table = written ?? firstRead.exec(statement)?.[1];
  const verb = operation.toUpperCase().replace(/^WITH$/, 'SELECT');
  return table === undefined ? verb : `${verb} ${table}`;
}
