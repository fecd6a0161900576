import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

const dashboards = fileURLToPath(new URL('../../dashboards', import.meta.url));

/** The role of docs/runbook.md, which may only read. Its password is not ours to write down. */
const reader = { user: 'grafana', passwordFrom: 'GRAFANA_DATABASE_PASSWORD' };

export interface DataSources {
  prometheusUrl: string;
  /** Undefined leaves PostgreSQL to be added in Grafana. */
  databaseUrl: string | undefined;
}

/**
 * Writes what a Grafana reads when it starts: that its dashboards are those in `dashboards/`, and
 * the data sources that they choose from.
 *
 * @returns how to start one with it, as lines of a shell
 */
export async function provisionGrafana(folder: string, sources: DataSources): Promise<string> {
  await write(join(folder, 'dashboards/analytics.yaml'), {
    apiVersion: 1,
    providers: [
      {
        name: 'analytics',
        folder: 'Analytics',
        type: 'file',
        options: { path: literal(dashboards) },
      },
    ],
  });
  await write(join(folder, 'datasources/analytics.yaml'), {
    apiVersion: 1,
    datasources: [
      {
        name: 'Analytics Prometheus',
        uid: 'analytics-prometheus',
        type: 'prometheus',
        access: 'proxy',
        url: literal(sources.prometheusUrl),
        jsonData: { httpMethod: 'POST', timeInterval: '30s' },
      },
      ...(sources.databaseUrl === undefined ? [] : [postgresql(new URL(sources.databaseUrl))]),
    ],
  });
  return [
    `GF_PATHS_PROVISIONING='${folder}' ${reader.passwordFrom}='…' \\`,
    '  grafana server --homepath /usr/share/grafana',
  ].join('\n');
}

function postgresql({ hostname, port, pathname, searchParams }: URL) {
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return {
    name: 'Analytics PostgreSQL',
    uid: 'analytics-postgresql',
    type: 'grafana-postgresql-datasource',
    access: 'proxy',
    url: literal(`${hostname}:${port || '5432'}`),
    user: reader.user,
    jsonData: {
      database: literal(decodeURIComponent(pathname.slice(1))),
      sslmode: literal(searchParams.get('sslmode') ?? (isHere ? 'disable' : 'require')),
    },
    secureJsonData: { password: `$${reader.passwordFrom}` },
  };
}

/** Grafana reads a variable of its environment after every single dollar. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$');
}

async function write(path: string, content: object): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, stringify(content, { lineWidth: 0 }));
}
