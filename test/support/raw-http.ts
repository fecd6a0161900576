import { connect } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: string;
  body: string;
}

/** Sends lines of a request as they are, which no HTTP client would, and reads the answer. */
export function rawRequest(port: number, lines: readonly string[]): Promise<RawAnswer> {
  return rawBytes(port, [...lines, 'Connection: close', '', ''].join('\r\n'));
}

/** Sends bytes, leaves the connection open, and reads until the other end closes it. */
export function rawBytes(port: number, bytes: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.once('error', reject);
    socket.once('close', () => {
      const [head = '', ...rest] = text.split('\r\n\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
      resolve({ status, headers: head, body: rest.join('\r\n\r\n') });
    });
  });
}
