import { type AddressInfo, createServer, type Socket } from 'node:net';

/** The one server process behind the relay: takes messages of the wire protocol, gives the answer. */
export interface Engine {
  execProtocolRaw(messages: Uint8Array): Promise<Uint8Array>;
}

export interface Relay {
  port: number;
  stop(): Promise<void>;
}

/**
 * Lets several TCP clients use one embedded PostgreSQL, which knows neither connections nor a
 * start-up. Connections take turns as behind PgBouncer in transaction mode: whoever begins a
 * transaction has the engine until it ends, the others wait. A connection that gets its turn after
 * another finds the settings from its own start-up and none of the other's; temporary tables and
 * named prepared statements are shared until the last connection closes.
 *
 * The package pglite-socket does the same for newer engines; it calls `execProtocolRawStream`,
 * which the one with TimescaleDB does not have, and cannot do COPY FROM STDIN.
 */
export async function startRelay(engine: Engine): Promise<Relay> {
  const turns = takeTurns(engine);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const client = {};
    const converse = conversation(socket, (message) => turns.run(client, message), {
      started: (settings) => turns.join(client, settings),
    });
    let work = Promise.resolve();
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      work = work.then(() => converse(chunk)).catch((error: Error) => void socket.destroy(error));
    });
    socket.on('close', () => {
      sockets.delete(socket);
      turns.leave(client);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
      await turns.idle();
    },
  };
}

type Client = object;
type Run = (messages: Buffer) => Promise<Buffer>;

/** Decides whose messages the engine sees. */
function takeTurns(engine: Engine) {
  const settingsOf = new Map<Client, string>();
  let waiting: { client: Client; go: () => void }[] = [];
  let owner: Client | undefined;
  let lastOwner: Client | undefined;
  let busy: Promise<unknown> = Promise.resolve();

  const execute: Run = (messages) => {
    // A copy, for the engine answers in a buffer that it uses again.
    const answer = busy.then(async () => Buffer.from(await engine.execProtocolRaw(messages)));
    busy = answer.catch(() => {});
    return answer;
  };
  const release = (client: Client): void => {
    if (owner !== client) return;
    owner = undefined;
    const next = waiting.shift();
    if (next === undefined) return;
    owner = next.client;
    next.go();
  };
  const acquire = async (client: Client): Promise<void> => {
    if (owner === client) return;
    if (owner === undefined) owner = client;
    else await new Promise<void>((go) => waiting.push({ client, go }));
    if (lastOwner === client) return;
    const answer = await execute(query(`reset all; ${settingsOf.get(client) ?? ''}`));
    // A server refuses such a connection.
    if (has('E', answer)) throw new Error(`start-up settings: ${answer.toString('latin1')}`);
    lastOwner = client;
  };
  return {
    join: (client: Client, settings: string) => void settingsOf.set(client, settings),
    async run(client: Client, messages: Buffer): Promise<Buffer> {
      // What a client sent before it went away must not take a turn that nobody would end.
      if (!settingsOf.has(client)) throw new Error('the client has gone');
      await acquire(client);
      const answer = await execute(messages);
      // ReadyForQuery is always last: Z, its length, and I when no transaction is open.
      const isReady = answer.at(-6) === code('Z') && answer.readUInt32BE(answer.length - 5) === 5;
      if (isReady && answer.at(-1) === code('I')) release(client);
      return answer;
    },
    leave(client: Client): void {
      settingsOf.delete(client);
      waiting = waiting.filter((waiter) => waiter.client !== client);
      if (owner === client) {
        const end = (): void => release(client);
        void execute(query('rollback')).then(end, end);
      }
      if (settingsOf.size === 0) void execute(query('discard all')).catch(() => {});
    },
    idle: async () => void (await busy),
  };
}

const engineReads = 8_192;

/** The engine takes a message for the last that ends where its read does. */
function hidesTheRest(batch: readonly Buffer[]): boolean {
  let end = 0;
  return batch.slice(0, -1).some((message) => {
    end += message.length;
    return end % engineReads === 0;
  });
}

/** Takes what arrives on a socket apart into messages and answers them. */
function conversation(
  socket: Socket,
  run: Run,
  on: { started(settings: string): void },
): (chunk: Buffer) => Promise<void> {
  let received = Buffer.alloc(0);
  let isStarted = false;
  let batch: Buffer[] = [];
  let isCopying = false;

  const send = (bytes: Buffer): void => {
    if (socket.writable) socket.write(bytes);
  };
  const flush = async (): Promise<void> => {
    // Flush asks for what happens anyway.
    while (hidesTheRest(batch)) batch.unshift(frame('H', Buffer.alloc(0)));
    const messages = Buffer.concat(batch);
    batch = [];
    send(await run(messages));
  };

  const startup = (message: Buffer): void => {
    const request = message.readUInt32BE(4);
    // SSLRequest and GSSENCRequest: no. CancelRequest: there is nobody who could hear it.
    if (request === 80877103 || request === 80877104) send(Buffer.from('N'));
    else if (request === 80877102) socket.end();
    else {
      on.started(settingsIn(message));
      isStarted = true;
      send(GREETING);
    }
  };

  const take = async (message: Buffer): Promise<void> => {
    const type = String.fromCharCode(message[0] ?? 0);
    if (type === 'X') return void socket.end();
    batch.push(message);
    if (isCopying) {
      if (type !== 'c' && type !== 'f') return;
      // The engine reads the whole COPY from one buffer, so the client was told to send before the
      // engine had seen the statement; its own CopyInResponse would now be a second one.
      isCopying = false;
      const messages = Buffer.concat(batch);
      batch = [];
      return send(without('G', await run(messages)));
    }
    if (type === 'Q' && /^\s*copy\b.*\bfrom\s+stdin\b/is.test(message.toString('utf8', 5))) {
      isCopying = true;
      return send(frame('G', Buffer.from([0, 0, 0])));
    }
    // Query, Sync and Flush want an answer; what comes before them is kept together.
    if (type === 'Q' || type === 'S' || type === 'H') await flush();
  };

  return async (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const head = isStarted ? 1 : 0;
      if (received.length < head + 4) return;
      const length = head + received.readUInt32BE(head);
      if (received.length < length) return;
      const message = received.subarray(0, length);
      received = received.subarray(length);
      if (isStarted) await take(message);
      else startup(message);
    }
  };
}

/** The run-time settings of a start-up message, as statements. */
function settingsIn(message: Buffer): string {
  const words = message.toString('utf8', 8).split('\0');
  const statements: string[] = [];
  for (let i = 0; words[i]; i += 2) {
    const [name = '', value = ''] = words.slice(i, i + 2);
    if (name === 'options') {
      for (const [, key = '', setting = ''] of value.matchAll(/-c\s*([\w.]+)=((?:\\.|\S)*)/g)) {
        statements.push(set(key, setting.replace(/\\(.)/g, '$1')));
      }
    } else if (!['user', 'database', 'replication'].includes(name))
      statements.push(set(name, value));
  }
  return statements.join('; ');
}

function set(name: string, value: string): string {
  const literal = `'${value.replaceAll("'", "''")}'`;
  return `select pg_catalog.set_config('${name.replaceAll("'", "''")}', ${literal}, false)`;
}

function query(sql: string): Buffer {
  return frame('Q', Buffer.from(`${sql}\0`));
}

function frame(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function has(type: string, messages: Buffer): boolean {
  return split(messages).some((message) => message[0] === code(type));
}

function without(type: string, messages: Buffer): Buffer {
  return Buffer.concat(split(messages).filter((message) => message[0] !== code(type)));
}

function split(messages: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < messages.length; ) {
    const end = at + 1 + messages.readUInt32BE(at + 1);
    found.push(messages.subarray(at, end));
    at = end;
  }
  return found;
}

function code(letter: string): number {
  return letter.charCodeAt(0);
}

/** AuthenticationOk, what drivers want to know of a server, and ReadyForQuery. */
const GREETING = Buffer.concat([
  frame('R', Buffer.alloc(4)),
  ...Object.entries({
    server_version: '17.5',
    server_encoding: 'UTF8',
    client_encoding: 'UTF8',
    DateStyle: 'ISO, MDY',
    TimeZone: 'UTC',
    integer_datetimes: 'on',
    standard_conforming_strings: 'on',
  }).map(([name, value]) => frame('S', Buffer.from(`${name}\0${value}\0`))),
  frame('K', Buffer.alloc(8)),
  frame('Z', Buffer.from('I')),
]);
