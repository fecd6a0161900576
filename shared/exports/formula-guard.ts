/**
 * Where a reader may begin a cell inside a text: at its start, and after what some reader splits at,
 * whatever the quotes around the text say. A list separator is `;` for Excel in most of Europe;
 * quotes count only where they open a cell, which a reader by another separator sees elsewhere.
 * Spaces are trimmed by some, and a doubled quote is read as an empty quoted start.
 */
const cellStart = '(?<=(?:^|[,;\\t\\r\\n])[ "]*)';

/**
 * What makes Excel, LibreOffice or Google Sheets read a cell as a formula (OWASP, CSV injection),
 * their full-width forms included, and the guard itself, so that no two texts become one.
 */
const guarded = "[=+\\-@\\uFF1D\\uFF0B\\uFF0D\\uFF20']";

/** Trimmed by spreadsheets, so that what follows would begin the cell. */
const leadingControl = '^(?=[\\t\\r\\n])';

/** The cheap test comes first: looking back takes time for each place it is tried at. */
const guardPlaces = new RegExp(`(?=${guarded})${cellStart}|${leadingControl}`, 'g');
const guards = new RegExp(`'(?=${guarded})(?<=${cellStart}')|^'(?=[\\t\\r\\n])`, 'g');

/** Told in each manifest, for readers who want the text as it was. */
export const formulaRule =
  "in a text cell one ' stands before each =, +, -, @, full-width =, +, -, @ or ' that begins the " +
  'text or follows a comma, semicolon, tab, CR or LF in it, past any spaces and double quotes, and ' +
  'before a tab, CR or LF that begins the text; without these the text is as it was';

/**
 * A text of somebody else's as no spreadsheet runs it, whether it splits at commas, semicolons, tabs
 * or line breaks. No two texts give the same.
 */
export function guardedCell(text: string): string {
  return text.replace(guardPlaces, "'");
}

/**
 * The text that `guardedCell` was given. Also reads exports made when only a formula at the start of
 * a text was guarded; there `=x` and `'=x` were one cell, which is read as the former.
 */
export function unguardedCell(cell: string): string {
  return cell.replace(guards, '');
}
