import { SingleBar } from 'cli-progress';
import { printable } from './printable.ts';

export interface Progress {
  start(total: number): void;
  update(value: number): void;
  /** A line above the bar. */
  note(line: string): void;
  stop(): void;
}

/**
 * A bar on standard error where a person watches; elsewhere only the notes.
 *
 * @param unit what is counted, in the plural
 */
export function openProgress(
  name: string,
  unit: string,
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  if (!stream.isTTY) {
    return {
      start: () => {},
      update: () => {},
      note: (line) => void stream.write(`${printable(line)}\n`),
      stop: () => {},
    };
  }
  const format = `${name} [{bar}] {percentage}% | {value}/{total} ${unit} | {duration_formatted}`;
  const bar = new SingleBar({ format, stream, hideCursor: true, clearOnComplete: true });
  const clearLine = '\r\u001b[K';
  return {
    start: (total) => bar.start(total, 0),
    update: (value) => bar.update(value),
    note: (line) => void stream.write(`${clearLine}${printable(line)}\n`),
    stop: () => {
      if (bar.isActive) bar.stop();
    },
  };
}
