/**
 * Where a reader may begin a cell inside a text: at its start, and after what some reader splits at,
 * whatever quotes the text has around it. A list separator is `;` for Excel in most of Europe, and a
 * reader that splits at it sees our quotes in the middle of a cell, where they mean nothing. Spaces
 * are trimmed by some; a doubled quote after a separator is read as an empty text, with what
 * follows added to it.
 */
const cellStart = '(^|[,;\\t\\r\\n])([ "]*)';

/**
 * What makes Excel, LibreOffice or Google Sheets read a cell as a formula (OWASP, CSV injection),
 * their full-width forms included, and the guard itself, so that no two texts become one.
 */
const guarded = "(?=[=+\\-@\\uFF1D\\uFF0B\\uFF0D\\uFF20'])";

const places = new RegExp(cellStart + guarded, 'g');
const guards = new RegExp(`${cellStart}'${guarded}`, 'g');

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
  const cell = text.replace(places, "$1$2'");
  // Spreadsheets trim these, so that what follows would begin the cell.
  return /^[\t\r\n]/.test(text) ? `'${cell}` : cell;
}

/**
 * The text that `guardedCell` was given. Also reads exports made when only a formula at the start of
 * a text was guarded; there `=x` and `'=x` were one cell, which is read as the former.
 */
export function unguardedCell(cell: string): string {
  return cell.replace(/^'(?=[\t\r\n])/, '').replace(guards, '$1$2');
}
