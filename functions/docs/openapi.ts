import * as z from 'zod';
import type { Operation } from '../../shared/openapi/operation.ts';

const etag = { ETag: 'Changes when the document does.' };

export const docsOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/openapi.json',
    operationId: 'getOpenApi',
    tag: 'Status',
    summary: 'This document',
    description: 'OpenAPI 3.1, as JSON.',
    access: 'everybody',
    answers: {
      200: {
        description: 'The document.',
        headers: etag,
        content: {
          'application/json': {
            schema: z.looseObject({ openapi: z.literal('3.1.1') }),
            examples: { shortened: { openapi: '3.1.1' } },
          },
        },
      },
      304: { description: 'It is the one of If-None-Match.', headers: etag },
    },
    refusals: {},
    usesStores: false,
  },
  {
    method: 'get',
    path: '/llms.txt',
    operationId: 'getGuideForMachines',
    tag: 'Status',
    summary: 'What machines that read this should know',
    description: 'Markdown by the convention of llmstxt.org, with links to this document.',
    access: 'everybody',
    answers: {
      200: {
        description: 'The guide.',
        headers: etag,
        content: {
          'text/plain': {
            schema: z.string(),
            examples: { shortened: '# Analytics Service\n' },
          },
        },
      },
      304: { description: 'It is the one of If-None-Match.', headers: etag },
    },
    refusals: {},
    usesStores: false,
  },
  {
    method: 'get',
    path: '/docs',
    operationId: 'getDocs',
    tag: 'Status',
    summary: 'A page to read this document and try it',
    description: 'Needs nothing from other hosts.',
    access: 'everybody',
    answers: {
      200: {
        description: 'The page.',
        headers: etag,
        content: {
          'text/html': {
            schema: z.string(),
            examples: { shortened: '<!doctype html>' },
          },
        },
      },
      304: { description: 'It is the one of If-None-Match.', headers: etag },
    },
    refusals: {},
    usesStores: false,
  },
];
