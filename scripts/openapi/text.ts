import { docsOperations } from '../../functions/docs/openapi.ts';
import { eventsOperations } from '../../functions/events/openapi.ts';
import { exportsOperations } from '../../functions/exports/openapi.ts';
import { reliabilityOperations } from '../../functions/reliability/openapi.ts';
import { statusOperations } from '../../functions/status/openapi.ts';
import { usageOperations } from '../../functions/usage/openapi.ts';
import { openApiDocument } from '../../shared/openapi/document.ts';

/** The API's document as it is kept in `docs/openapi.json`. */
export function openApiText(): string {
  const document = openApiDocument([
    ...usageOperations,
    ...reliabilityOperations,
    ...statusOperations,
    ...eventsOperations,
    ...exportsOperations,
    ...docsOperations,
  ]);
  return `${JSON.stringify(document, null, 2)}\n`;
}
