export interface CurlRequest {
  url: string;
  headers: Readonly<Record<string, string>>;
  /** JSON that is posted. */
  body?: string;
}

/**
 * A request as a command for a POSIX shell. A token does not get into it: it would stay in the
 * shell's history and in whatever it is pasted into.
 */
export function curlText({ url, headers, body }: CurlRequest): string {
  const lines = [`curl -sS ${quoted(url)}`];
  for (const [name, value] of Object.entries(headers)) {
    lines.push(
      name.toLowerCase() === 'authorization'
        ? `-H "${name}: Bearer $TOKEN"`
        : `-H ${quoted(`${name}: ${value}`)}`,
    );
  }
  if (body !== undefined) {
    lines.push(`-H 'Content-Type: application/json'`, `-d ${quoted(body)}`);
  }
  return lines.join(' \\\n  ');
}

/** Within single quotes a shell reads nothing but their end. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
