/** A kind of object as the API server announces it, with the names that kubectl takes for it. */
export interface Kind {
  /** Group and version, such as `apps/v1`; `v1` for the core. */
  apiVersion: string;
  kind: string;
  plural: string;
  shortNames: readonly string[];
  namespaced: boolean;
}

/** As Kubernetes and the definitions of Knative, KEDA, Istio, Prometheus and Argo CD name them. */
const kinds: readonly Kind[] = [
  clusterWide('v1', 'Namespace', 'namespaces', 'ns'),
  kind('v1', 'Pod', 'pods', 'po'),
  kind('v1', 'Service', 'services', 'svc'),
  kind('v1', 'Event', 'events', 'ev'),
  kind('v1', 'ConfigMap', 'configmaps', 'cm'),
  kind('v1', 'Secret', 'secrets'),
  kind('v1', 'ServiceAccount', 'serviceaccounts', 'sa'),
  kind('apps/v1', 'Deployment', 'deployments', 'deploy'),
  kind('batch/v1', 'Job', 'jobs'),
  kind('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies', 'netpol'),
  kind('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', 'pdb'),
  kind('serving.knative.dev/v1', 'Service', 'services', 'kservice', 'ksvc'),
  kind('eventing.knative.dev/v1', 'Broker', 'brokers'),
  kind('eventing.knative.dev/v1', 'Trigger', 'triggers'),
  kind('sources.knative.dev/v1', 'PingSource', 'pingsources'),
  kind('sources.knative.dev/v1', 'SinkBinding', 'sinkbindings'),
  kind('keda.sh/v1alpha1', 'ScaledObject', 'scaledobjects', 'so'),
  kind('keda.sh/v1alpha1', 'TriggerAuthentication', 'triggerauthentications', 'ta', 'triggerauth'),
  kind('monitoring.coreos.com/v1', 'PrometheusRule', 'prometheusrules', 'promrule'),
  kind('monitoring.coreos.com/v1', 'PodMonitor', 'podmonitors', 'pmon'),
  kind('monitoring.coreos.com/v1', 'ServiceMonitor', 'servicemonitors', 'smon'),
  kind('monitoring.coreos.com/v1alpha1', 'ScrapeConfig', 'scrapeconfigs', 'scfg'),
  kind('networking.istio.io/v1', 'Gateway', 'gateways', 'gw'),
  kind('networking.istio.io/v1', 'VirtualService', 'virtualservices', 'vs'),
  kind('networking.istio.io/v1', 'DestinationRule', 'destinationrules', 'dr'),
  kind('security.istio.io/v1', 'AuthorizationPolicy', 'authorizationpolicies', 'ap'),
  kind('security.istio.io/v1', 'PeerAuthentication', 'peerauthentications', 'pa'),
  kind('security.istio.io/v1', 'RequestAuthentication', 'requestauthentications', 'ra'),
  kind('argoproj.io/v1alpha1', 'Application', 'applications', 'app', 'apps'),
];

export function kindAt(apiVersion: string, plural: string): Kind | undefined {
  return kinds.find((one) => one.apiVersion === apiVersion && one.plural === plural);
}

/** The API groups, as `GET /apis` answers. */
export function groupList() {
  const versions = new Set(kinds.map(({ apiVersion }) => apiVersion));
  const groups = new Map<string, { groupVersion: string; version: string }[]>();
  for (const groupVersion of versions) {
    const [group = '', version] = groupVersion.split('/');
    if (version === undefined) continue;
    groups.set(group, [...(groups.get(group) ?? []), { groupVersion, version }]);
  }
  return {
    apiVersion: 'v1',
    kind: 'APIGroupList',
    groups: [...groups].map(([name, all]) => ({
      name,
      versions: all,
      preferredVersion: all[0],
    })),
  };
}

/** What there is of a group's version, as `GET /apis/GROUP/VERSION` answers. */
export function resourceList(groupVersion: string) {
  return {
    apiVersion: 'v1',
    kind: 'APIResourceList',
    groupVersion,
    resources: kinds
      .filter(({ apiVersion }) => apiVersion === groupVersion)
      .map(({ kind: name, plural, shortNames, namespaced }) => ({
        name: plural,
        singularName: name.toLowerCase(),
        kind: name,
        shortNames,
        namespaced,
        verbs: ['create', 'delete', 'get', 'list', 'patch', 'watch'],
      })),
  };
}

/** Where to read of each group's version, as `GET /openapi/v3` answers. */
export function openApiIndex() {
  const versions = new Set(kinds.map(({ apiVersion }) => apiVersion));
  const paths = [...versions].map((version) => [
    version.includes('/') ? `apis/${version}` : `api/${version}`,
    { serverRelativeURL: `/openapi/v3/${version}` },
  ]);
  return { paths: Object.fromEntries(paths) };
}

/**
 * What kubectl looks for before it creates or applies: that the server checks fields itself. Ours
 * checks none, so a test of fields has to be another.
 */
export function openApi(groupVersion: string) {
  const [group, version] = groupVersion.includes('/')
    ? groupVersion.split('/')
    : ['', groupVersion];
  const fieldValidation = { name: 'fieldValidation', in: 'query', schema: { type: 'string' } };
  const paths = kinds
    .filter(({ apiVersion }) => apiVersion === groupVersion)
    .map(({ kind: name, plural }) => [
      `/${plural}/{name}`,
      {
        patch: {
          parameters: [fieldValidation],
          responses: {},
          'x-kubernetes-group-version-kind': { group, version, kind: name },
        },
      },
    ]);
  const info = { title: groupVersion, version: '1' };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths) };
}

function kind(apiVersion: string, name: string, plural: string, ...shortNames: string[]): Kind {
  return { apiVersion, kind: name, plural, shortNames, namespaced: true };
}

function clusterWide(...names: Parameters<typeof kind>): Kind {
  return { ...kind(...names), namespaced: false };
}
