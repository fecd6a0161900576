/**
 * SQL: a lease's time, a column of this name, is over. No lease is for as long as ten minutes: one
 * that seems to be was written before the database's clock was set back, and would keep what a dead
 * owner held from everybody else for as long as that.
 */
export function isOver(column: string): string {
  return `${column} not between clock_timestamp() and clock_timestamp() + interval '10 minutes'`;
}
