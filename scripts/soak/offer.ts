import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Offered, offeredForm } from './offered.ts';

export interface Offer {
  pid: number;
  /** So far. */
  offered(): Offered;
  /** Once all is sent and confirmed. @throws when it is not. */
  ended: Promise<void>;
  stop(): void;
}

const publisher = fileURLToPath(new URL('publisher.ts', import.meta.url));

/** Starts the publisher in a process of its own. */
export function startOffer(
  { rate, seconds }: { rate: number; seconds: number },
  stream: Readonly<Record<'RABBITMQ_URL' | 'RABBITMQ_STREAM', string>>,
): Offer {
  const child = spawn(process.execPath, ['--import', 'tsx', publisher], {
    env: {
      PATH: process.env.PATH,
      TZ: 'UTC',
      ...stream,
      SOAK_RATE: String(rate),
      SOAK_SECONDS: String(seconds),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the publisher did not start');
  let offered: Offered = { due: 0, sent: 0, confirmed: 0 };
  createInterface({ input: child.stdout }).on('line', (line) => {
    offered = offeredForm.parse(JSON.parse(line));
  });
  const ended = new Promise<void>((resolve, reject) => {
    // Not at its exit: the last line may come after.
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the publisher ended with ${code}: what it says is above`));
    });
  });
  // Awaited when the time is over; a failure before must not end this process.
  ended.catch(() => {});
  return { pid, offered: () => offered, ended, stop: () => void child.kill('SIGKILL') };
}
