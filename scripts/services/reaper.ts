import { spawn } from 'node:child_process';

/**
 * A tiny shell that outlives us. It reads what to clean up from a pipe; the pipe closes when this
 * process ends, however it ends, kill -9 included, and then the shell stops what is still listed.
 * Asking the servers themselves to notice is not possible: none of them watches its parent.
 */
export interface Reaper {
  readonly pid: number;
  watchProcess(pid: number): void;
  forgetProcess(pid: number): void;
  /** Removed after the processes are gone. */
  watchFolder(path: string): void;
  /** Run after the processes are gone, for what is not a process of ours, such as a container. */
  watchCommand(command: string): void;
  /** Everything has been cleaned up in the ordinary way: the shell ends without doing anything. */
  dismiss(): Promise<void>;
}

// TERM first: PostgreSQL, Redis and RabbitMQ then leave their data in order. Five seconds later the
// rest is killed. A pid is signalled only while its start time is the one it was registered with.
const SCRIPT = `
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
alive() {
  kill -0 "\${1%%:*}" 2>/dev/null || return 1
  [ "\${1#*:}" = "" ] || [ "$(started "\${1%%:*}")" = "\${1#*:}" ]
}
pids='' folders='' commands=''
while read -r verb argument; do
  case $verb in
    process) pids="$argument:$(started "$argument") $pids" ;;
    forget) kept=''; for p in $pids; do
        [ "\${p%%:*}" = "$argument" ] || kept="$kept$p "; done; pids=$kept ;;
    folder) folders="$folders$argument
" ;;
    command) commands="$commands$argument
" ;;
    done) exit 0 ;;
  esac
done
for p in $pids; do alive "$p" && kill -TERM "\${p%%:*}"; done 2>/dev/null
for i in 1 2 3 4 5 6 7 8 9 10; do
  left=''; for p in $pids; do alive "$p" && left=yes; done
  [ -z "$left" ] && break
  sleep 0.5
done
for p in $pids; do alive "$p" && kill -KILL "\${p%%:*}"; done 2>/dev/null
printf '%s' "$commands" | while read -r command; do eval "$command"; done
sleep 0.5
printf '%s' "$folders" | while read -r folder; do rm -rf -- "$folder"; done
`;

export function createReaper(): Reaper | undefined {
  // Windows has no sh; there Ctrl-C is handled, a killed parent is not.
  if (process.platform === 'win32') return undefined;
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'analytics-reaper'], {
    // Own session: Ctrl-C in the terminal must not take the reaper away with us.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error('cannot start /bin/sh');
  // It must not keep an otherwise finished process alive, nor raise when it is gone first.
  child.unref();
  child.stdin.on('error', () => {});
  (child.stdin as unknown as { unref?(): void }).unref?.();
  const write = (verb: string, argument: string): void => {
    if (argument.includes('\n')) throw new Error(`line break in ${verb} ${argument}`);
    child.stdin.write(`${verb} ${argument}\n`);
  };
  return {
    pid,
    watchProcess: (watched) => write('process', String(watched)),
    forgetProcess: (watched) => write('forget', String(watched)),
    watchFolder: (path) => write('folder', path),
    watchCommand: (command) => write('command', command),
    dismiss: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.ref();
        child.once('exit', () => resolve());
        child.stdin.end('done\n');
      }),
  };
}
