/** What Grafana does to a query before it is sent, as far as our dashboards use it. */

export interface GrafanaScope {
  from: Date;
  to: Date;
  /** By name: the ids chosen, or a text put in as it is (`All` with a custom value). */
  variables: Readonly<Record<string, readonly string[] | string>>;
}

/** SQL as the PostgreSQL data source sends it: variables first, then macros. */
export function expandSql(sql: string, { from, to, variables }: GrafanaScope): string {
  const interpolated = sql.replaceAll(/\$\{(\w+):(sqlstring|raw)\}/g, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`no variable ${name}`);
    if (typeof value === 'string') return value;
    return value.map((one) => `'${one.replaceAll("'", "''")}'`).join(',');
  });
  // The data source's own pattern: an argument cannot hold a closing parenthesis.
  return interpolated.replaceAll(/\$(\w+)\(([^)]*)\)/g, (_, macro: string, argument: string) => {
    if (macro === '__timeFrom') return `'${from.toISOString()}'`;
    if (macro === '__timeTo') return `'${to.toISOString()}'`;
    if (macro === '__timeFilter') {
      return `${argument} BETWEEN '${from.toISOString()}' AND '${to.toISOString()}'`;
    }
    throw new Error(`no macro ${macro}`);
  });
}

/** PromQL with Grafana's own intervals filled in. */
export function expandPromql(expr: string, rateInterval: string): string {
  return expr.replaceAll('$__rate_interval', rateInterval);
}
