import { stringify } from 'csv-stringify/sync';
import type { TextRow } from '../platform/database/db.ts';
import type { WindowPlan } from '../queries/time-window.ts';
import type { Values } from '../queries/window-sql.ts';
import type { PendingBatches } from '../rollups/pending-batches.ts';
import { guardedCell } from './formula-guard.ts';
import type { ExportRequest, ExportTotals } from './job.ts';

/** What a stretch of a file is written from; `plan` is the stretch's. */
export interface ExportScope {
  request: ExportRequest;
  plan: WindowPlan;
  pending: PendingBatches;
}

/** One kind of file: its columns, and how its lines are made from what the database returns. */
export interface ExportFormat {
  columns: readonly string[];
  /** The select whose rows become the file's, in the file's order. */
  statement(values: Values): string;
  /** The file's lines for one of the statement's rows; adds to the totals. */
  toLines(row: TextRow, totals: TotalsSum): string[];
}

/** Reads a statement's columns by name; null is ''. */
export function columnReader<const Name extends string>(
  names: readonly Name[],
): (row: TextRow) => (name: Name) => string {
  const indices = new Map(names.map((name, index) => [name, index]));
  return (row) => (name) => row[indices.get(name) ?? -1] ?? '';
}

/** An exact sum of whole numbers: as a float while that holds it, which is most of the time. */
class WholeSum {
  #low = 0;
  #high = 0n;

  add(text: string): void {
    if (text.length > 15) {
      this.#high += BigInt(text);
      return;
    }
    this.#low += Number(text);
    if (Math.abs(this.#low) > 2 ** 52) {
      this.#high += BigInt(this.#low);
      this.#low = 0;
    }
  }

  toBigInt(): bigint {
    return this.#high + BigInt(this.#low);
  }
}

/** Sums over what is written to a file, exact: whole numbers, with costs in 1/10,000 of a cent. */
export class TotalsSum {
  #invocations = 0;
  #errors = 0;
  readonly #inputTokens = new WholeSum();
  readonly #outputTokens = new WholeSum();
  readonly #cost = new WholeSum();

  /** Counts and decimals in PostgreSQL's text form; a cost has at most 4 decimals. */
  add(
    invocations: string,
    errors: string,
    inputTokens: string,
    outputTokens: string,
    costEstimateCents: string,
  ): void {
    this.#invocations += Number(invocations);
    this.#errors += Number(errors);
    this.#inputTokens.add(inputTokens);
    this.#outputTokens.add(outputTokens);
    this.#cost.add(scaledDigits(costEstimateCents));
  }

  toTotals(): ExportTotals {
    return {
      invocations: this.#invocations,
      errors: this.#errors,
      inputTokens: String(this.#inputTokens.toBigInt()),
      outputTokens: String(this.#outputTokens.toBigInt()),
      costEstimateCents: fromScaled(this.#cost.toBigInt()),
    };
  }
}

const decimals = 4;

/** A decimal with at most 4 decimals, times 10,000. */
export function toScaled(text: string): bigint {
  return BigInt(scaledDigits(text));
}

function scaledDigits(text: string): string {
  const point = text.indexOf('.');
  if (point < 0) return `${text}0000`;
  return text.slice(0, point) + text.slice(point + 1).padEnd(decimals, '0');
}

/** The inverse, without trailing zeros, as PostgreSQL's trim_scale writes it. */
export function fromScaled(scaled: bigint): string {
  const digits = String(scaled < 0n ? -scaled : scaled).padStart(decimals + 1, '0');
  const whole = digits.slice(0, -decimals);
  const fraction = digits.slice(-decimals).replace(/0+$/, '');
  return `${scaled < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Either of the two needs quotes, not only both together: LibreOffice ends a row at each. */
const lineBreak = /[\r\n]/;

const knownCellsMax = 10_000;
const knownCells = new Map<string, string>();

/**
 * A text of somebody else's as a CSV cell: harmless to a spreadsheet, quoted where RFC 4180 asks
 * for it. Ids, numbers and times of ours need neither. The same few names fill a whole file, so
 * quoted ones are kept: with the library called for every row, 1.9 million rows took 14 s, so 10.
 */
export function textCell(text: string): string {
  const known = knownCells.get(text);
  if (known !== undefined) return known;
  const cell = stringify([[guardedCell(text)]], { eof: false, quoted_match: lineBreak });
  if (knownCells.size >= knownCellsMax) knownCells.clear();
  knownCells.set(text, cell);
  return cell;
}

const lineEnd = '\r\n';

/** Ready cells as an RFC 4180 line. */
export function csvLine(cells: readonly string[]): string {
  return cells.join(',') + lineEnd;
}
