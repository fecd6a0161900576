/**
 * Content-Security-Policy of a page: scripts, styles and requests from and to here alone, none of
 * them written in the page. Nothing may frame it, and a form goes nowhere but to its script.
 */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
