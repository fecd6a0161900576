/**
 * The `Content-Disposition` with which a browser saves what it gets as a file of this name
 * (RFC 6266). Where the name is more than plain ASCII it follows once more, encoded as in RFC 8187.
 */
export function attachment(filename: string): string {
  const name = filename
    .toWellFormed()
    .replace(/\p{Cc}/gu, '')
    .replace(/[\\/]/g, '_');
  // Browsers differ in how they read quotes and percent signs in there.
  const plain = name.replace(/[^ -~]|["%]/gu, '_');
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"${plain === name ? '' : `; filename*=UTF-8''${encoded}`}`;
}
