import type { Report } from './report.ts';

export function scalingDocument(_reports: readonly Report[]): string {
  return '';
}
