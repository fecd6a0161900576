import type { Tool } from './tool.ts';

/** What `npm run deploy` calls. */

export const func: Tool = {
  name: 'func',
  version: ['version'],
  least: '1.15',
  purpose: 'building images and deploying functions',
  get: 'https://knative.dev/docs/functions/install-func (it builds with Docker or Podman)',
};

export const kubectl: Tool = {
  name: 'kubectl',
  version: ['version', '--client', '--output=json'],
  // With Kustomize 5.
  least: '1.27',
  purpose: 'deploying',
  get: 'https://kubernetes.io/docs/tasks/tools',
};
