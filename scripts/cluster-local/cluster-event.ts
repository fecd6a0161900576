/** What happens in the cluster, for whoever prints or waits for it. */
export type ClusterEvent = PodEvent | DeliveryEvent | ScaleEvent;

export interface PodEvent {
  kind: 'pod';
  /** The Service, Deployment or Job. */
  workload: string;
  pod: string;
  /** `ended`: by itself, which no pod of a service should. */
  phase: 'starting' | 'ready' | 'idle' | 'stopping' | 'stopped' | 'ended';
  detail: string;
}

/** One attempt to hand over a CloudEvent, or what became of it. */
export interface DeliveryEvent {
  kind: 'delivery';
  /** `PingSource name`, `Trigger name`, or `Broker name` for what it took in. */
  from: string;
  to: string;
  id: string;
  type: string;
  /** `lost`: no attempt is left, and there is no dead-letter sink, or that failed too. */
  outcome: 'accepted' | 'delivered' | 'retrying' | 'dead-lettered' | 'lost';
  /** From 1; the dead-letter sink has attempts of its own. */
  attempt: number;
  detail: string;
}

export interface ScaleEvent {
  kind: 'scale';
  workload: string;
  replicas: number;
  detail: string;
}

export type OnEvent = (event: ClusterEvent) => void;
