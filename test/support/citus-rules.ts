import {
  distributedTables,
  distributionColumn,
  referenceTables,
} from '../../scripts/bench/citus-plan.ts';

/**
 * What Citus 12 asks of a statement that touches distributed tables: one that is bound to a single
 * tenant runs on one node, where all of SQL works. Across nodes some of it does not.
 *
 * https://docs.citusdata.com/en/stable/develop/reference_workarounds.html
 *
 * @returns the rules that it breaks, in words; none for one that is fine
 */
export function citusFaults(statement: string): string[] {
  const sql = statement.replace(/--.*$/gm, ' ').replace(/\s+/g, ' ').toLowerCase();
  const touched = mentions(sql);
  if (touched === 0) return [];
  const faults = insertFaults(sql);
  if (tenantFilters(sql) >= touched) return faults;
  if (/\bgrouping sets\b|\brollup\s*\(|\bcube\s*\(/.test(sql)) {
    faults.push('grouping sets over more than one tenant');
  }
  if (/\bfor (no key )?(update|share)\b/.test(sql)) faults.push('row locks over many tenants');
  if (/\btablesample\b/.test(sql)) faults.push('tablesample over many tenants');
  if (/\bwith recursive\b/.test(sql)) faults.push('a recursive query over many tenants');
  for (const [, over = ''] of sql.matchAll(/\bover \(([^)]*)\)/g)) {
    if (!new RegExp(`partition by [^)]*\\b${distributionColumn}\\b`).test(over)) {
      faults.push('a window function that is not within a tenant');
    }
  }
  for (const [subquery, table] of sql.matchAll(
    /\bexists \( ?select\b.*? from analytics\.(\w+)[^)]*\)/g,
  )) {
    const isCorrelated = /\b\w+\.\w+ = \w+\.\w+/.test(subquery);
    const isEverywhere = referenceTables.some((name) => name === table);
    if (isCorrelated && !isEverywhere && !subquery.includes(`.${distributionColumn} = `)) {
      faults.push(`a correlated subquery on ${table} that is not on the tenant`);
    }
  }
  if (/\b(left|right|full) (outer )?join analytics\./.test(sql) && joinsElsewhere(sql)) {
    faults.push('an outer join that is not on the tenant');
  }
  if (/\bwith\b.*\b(insert into|update|delete from) analytics\./.test(sql)) {
    faults.push('a common table expression that writes for many tenants');
  }
  if (/^\s*update analytics\./.test(sql) && /\b(clock_timestamp|random|nextval)\b/.test(sql)) {
    faults.push('a volatile function in an update');
  }
  return faults;
}

const names = distributedTables.join('|');

/** How often the statement reads or writes a distributed table. */
function mentions(sql: string): number {
  return [...sql.matchAll(new RegExp(`\\banalytics\\.(${names})\\b(?!')`, 'g'))].length;
}

function tenantFilters(sql: string): number {
  return [...sql.matchAll(new RegExp(`\\b${distributionColumn} = (any\\()?\\$\\d`, 'g'))].length;
}

/** A row must say whose it is, and a conflict is only looked for within its tenant. */
function insertFaults(sql: string): string[] {
  const faults: string[] = [];
  const inserts = sql.matchAll(
    new RegExp(`\\binsert into analytics\\.(${names})(?: as \\w+)?(?: \\(([^)]*)\\))?`, 'g'),
  );
  for (const [, table, columns] of inserts) {
    if (columns !== undefined && !columns.includes(distributionColumn)) {
      faults.push(`an insert into ${table} that names no tenant`);
    }
  }
  for (const [, key = ''] of sql.matchAll(/\bon conflict \(([^)]*)\)/g)) {
    if (!key.includes(distributionColumn)) faults.push('a conflict that is not within a tenant');
  }
  return faults;
}

function joinsElsewhere(sql: string): boolean {
  const joins = sql.matchAll(
    /\b(?:left|right|full) (?:outer )?join analytics\.(\w+)[^()]*?(?:using \(([^)]*)\)| on (.*?)(?= where| left| join| group| order|$))/g,
  );
  return [...joins].some(
    ([, table = '', using = '', on = '']) =>
      new RegExp(`^(${names})$`).test(table) && !`${using} ${on}`.includes(distributionColumn),
  );
}
