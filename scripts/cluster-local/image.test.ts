import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { programOf } from './image.ts';

const container = { env: [], envFrom: [] };

test.each([
  'analytics-usage',
  'analytics-usage:v0.1.0',
  'registry.example.com/analytics/analytics-usage',
  'registry.example.com:5000/analytics/analytics-usage:v0.1.0',
  'registry.example.com/analytics/analytics-usage@sha256:0123456789abcdef',
  'registry.example.com/analytics/analytics-usage:v1@sha256:0123456789abcdef',
])('%s is started as its function starts', (image) => {
  const { folder, args } = programOf({ ...container, image });
  expect([basename(folder), args]).toEqual(['usage', ['dist/index.cjs']]);
});

test("the manifest's command takes the place of the function's", () => {
  const own = { ...container, image: 'analytics-usage', command: ['node', '-e'], args: ['1'] };
  expect(programOf(own).args).toEqual(['-e', '1']);
});

test('an image of no function, and a command that is not Node, are refused', () => {
  expect(() => programOf({ ...container, image: 'registry/analytics-nothing:v1' })).toThrow(
    'no package in functions/ has the name analytics-nothing',
  );
  const shell = { ...container, image: 'analytics-usage', command: ['/bin/sh'] };
  expect(() => programOf(shell)).toThrow('only node is run here, not /bin/sh');
});
