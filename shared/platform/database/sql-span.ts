import { type Attributes, SpanKind } from '@opentelemetry/api';
import { serverAddress } from '../telemetry/server-address.ts';
import { clientSpanOver, inClientSpan, type SpanDescription } from '../telemetry/tracing.ts';

/** How one database's work is told as spans. */
export interface SqlSpans {
  /** A statement's round trip: what it does and to which table, never its text or values. */
  inSqlSpan<T>(statement: string, work: () => Promise<T>): Promise<T>;
  /** A whole transaction, from the wait for a connection on. Its statements are spans within. */
  inTransactionSpan<T>(work: () => Promise<T>): Promise<T>;
  /** A cursor's rows, from its declaration until the last is read. */
  sqlSpanOver<T>(statement: string, rows: AsyncIterable<T>): AsyncIterable<T>;
}

/** By OpenTelemetry's conventions for databases. */
export function sqlSpans(url: string): SqlSpans {
  const server = { 'db.system.name': 'postgresql', ...serverAddress(url) };
  const describe = (statement: string) => describeSql(statement, server);
  return {
    inSqlSpan: (statement, work) => inClientSpan(() => describe(statement), work),
    inTransactionSpan: (work) =>
      inClientSpan(
        () => ({ name: 'transaction', kind: SpanKind.INTERNAL, attributes: server }),
        work,
      ),
    sqlSpanOver: (statement, rows) => clientSpanOver(() => describe(statement), rows),
  };
}

/** Named by the summary. */
function describeSql(statement: string, server: Attributes): SpanDescription {
  const summary = summaryOf(statement);
  const [operation = '', table] = summary.split(' ');
  return {
    name: summary,
    attributes: {
      ...server,
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
