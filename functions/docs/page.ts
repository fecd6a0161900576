import { createHash } from 'node:crypto';
import type { PageFiles } from './page-files.ts';

/** A file that the page loads. Its name changes with its text, so that it may be kept for ever. */
export interface Asset {
  name: string;
  contentType: string;
  text: string;
}

/** Credentials are not kept: they are gone with the page. */
const startScript = `SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

/** The page and what it loads, by name. */
export function docsPage(files: PageFiles): { html: string; assets: ReadonlyMap<string, Asset> } {
  const style = asset('swagger-ui', 'css', 'text/css', files['swagger-ui.css']);
  const bundle = asset('swagger-ui', 'js', 'text/javascript', files['swagger-ui-bundle.js']);
  const start = asset('start', 'js', 'text/javascript', startScript);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Analytics Service API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/${style.name}">
</head>
<body>
<div id="docs"></div>
<script src="docs/${bundle.name}"></script>
<script src="docs/${start.name}"></script>
</body>
</html>
`;
  return { html, assets: new Map([style, bundle, start].map((one) => [one.name, one])) };
}

function asset(stem: string, extension: string, type: string, text: string): Asset {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  return { name: `${stem}.${hash}.${extension}`, contentType: `${type}; charset=utf-8`, text };
}
