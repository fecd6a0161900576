import { describe, expect, test } from 'vitest';
import { readSettings } from '../../shared/platform/env.ts';
import { UsageError } from '../cli/failure.ts';
import { one } from './exact.ts';
import { readReplayOptions } from './options.ts';

const nowMs = Date.parse('2026-03-01T09:00:00Z');
const withStream = { RABBITMQ_URL: 'amqp://127.0.0.1' };

function read(args: string[], environment: Record<string, string> = {}) {
  return readReplayOptions(args, readSettings(environment), nowMs);
}

test('the defaults send at full speed over HTTP, unmoved', () => {
  expect(read(['trace.csv'], { HTTP_PORT: '9000' })).toMatchObject({
    file: 'trace.csv',
    to: 'http',
    url: 'http://127.0.0.1:9000',
    shift: { days: 0 },
    stretch: 1,
    speed: Number.POSITIVE_INFINITY,
    waitMs: 60_000,
    defaults: { orgId: '00000000-0000-0000-0000-000000000001', clientId: null },
  });
});

test('with RABBITMQ_URL the stream is the default', () => {
  expect(read(['trace.csv'], withStream).to).toBe('stream');
});

test('options are read', () => {
  const args = 'f --shift-to yesterday --stretch 7.5 --speed 10 --input-price 2.5 --url http://a/';
  expect(read(args.split(' '))).toMatchObject({
    shift: { toDayMs: Date.parse('2026-02-28T00:00:00Z') },
    stretch: 7.5,
    speed: 10,
    url: 'http://a',
    defaults: { inputPrice: (25n * one) / 10n },
  });
  expect(read(['f', '--shift-days', '-3']).shift).toEqual({ days: -3 });
});

test('columns may be mapped and ignored, each as often as need be', () => {
  const args = [
    'f',
    '--map',
    'a b=model',
    '--map',
    'x=y=clientId',
    '--ignore',
    'c',
    '--ignore',
    'd',
  ];
  expect(read([...args, '--timezone', 'Europe/Berlin', '--provider', 'openai'])).toMatchObject({
    columns: {
      maps: [
        { column: 'a b', target: 'model' },
        { column: 'x=y', target: 'clientId' },
      ],
      ignores: ['c', 'd'],
      timeZone: 'Europe/Berlin',
    },
    defaults: { provider: 'openai' },
  });
  expect(read(['f']).columns).toEqual({ maps: [], ignores: [], timeZone: 'UTC' });
});

describe('wrong usage is one line that names the option', () => {
  test.each([
    ['', /missing required argument 'file'/],
    ['a b', /too many arguments/],
    ['a --sped 1', /unknown option '--sped'/],
    ['a --org acme', /^--org must be a uuid$/],
    ['a --input-price -1', /^--input-price must be cents with at most 6 decimals$/],
    ['a --ms-per-input-token x', /^--ms-per-input-token must be milliseconds/],
    ['a --shift-days 1.5', /^--shift-days must be a whole number of days$/],
    ['a --shift-to 2026-02-30', /^--shift-to must be yesterday or a date/],
    ['a --shift-to yesterday --shift-days 1', /--shift-days.*--shift-to/],
    ['a --stretch 0', /^--stretch must be a number above 0$/],
    ['a --speed fast', /^--speed must be max or a number above 0$/],
    ['a --to file', /^--to must be stream or http$/],
    ['a --to stream', /^--to stream needs RABBITMQ_URL/],
    ['a --url ftp://x', /^--url must be an http:\/\/ URL$/],
    ['a --wait soon', /^--wait must be a number of seconds$/],
    ['a --map cost', /^--map must be COLUMN=TARGET$/],
    ['a --map =model', /^--map must be COLUMN=TARGET$/],
    ['a --timezone Mars', /^--timezone must be an IANA time zone/],
    ['a --org x --stretch y', /^--org must be a uuid; --stretch must be/],
  ])('%s', (line, message) => {
    const usage = () => read(line.split(' ').filter(Boolean));
    expect(usage).toThrow(UsageError);
    expect(usage).toThrow(message);
    expect(usage).not.toThrow('\n');
  });
});
