import type { Sink } from './delivery.ts';
import { exchange } from './http-exchange.ts';
import type { Broker, Destination } from './manifests.ts';
import type { Revision } from './revision.ts';

const brokerAnswerMaxMs = 30_000;

/** A Knative Service as a sink: an event is a request to it, and wakes it. */
function serviceSink(revision: Revision, path: string): Sink {
  const { authority } = revision;
  return {
    url: `http://${authority}${path}`,
    post: ({ headers, body }, timeoutMs = revision.timeoutMs) =>
      revision.use((pod) =>
        exchange(
          pod.port,
          { method: 'POST', path, headers: { ...headers, host: authority }, body },
          timeoutMs,
        ),
      ),
  };
}

/** A broker as a sink, at the port where it is to be. */
export function brokerSink({ metadata: { namespace, name } }: Broker, port: number): Sink {
  const path = `/${namespace}/${name}`;
  return {
    url: `http://127.0.0.1:${port}${path}`,
    post: ({ headers, body }, timeoutMs = brokerAnswerMaxMs) =>
      exchange(port, { method: 'POST', path, headers, body }, timeoutMs),
  };
}

/** Finds what manifests refer to, among what runs. */
export function sinkFinder(
  revisions: ReadonlyMap<string, Revision>,
  brokers: ReadonlyMap<string, Sink>,
): (destination: Destination) => Sink {
  return (destination) => {
    const { ref, uri } = destination;
    const revision = revisions.get(ref.name);
    const sink =
      ref.kind === 'Broker' ? brokers.get(ref.name) : revision && serviceSink(revision, uri);
    if (sink === undefined) throw new Error(`there is no ${nameOf(destination)} to send events to`);
    return sink;
  };
}

/** What a manifest's destination is called in messages. */
export function nameOf({ ref: { kind, name }, uri }: Destination): string {
  return `${kind} ${name}${uri === '/' ? '' : uri}`;
}
