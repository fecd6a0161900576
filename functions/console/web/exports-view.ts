import {
  type ExportJob,
  exportJob,
  exportLink,
  exportsAnswer,
  freshnessAnswer,
} from './answers.ts';
import { ApiError, type ApiRequest, ask, curlOf, pathTo } from './api.ts';
import { checkFile } from './checksum.ts';
import { announce, button, copy, el, select } from './dom.ts';
import { bytesText, countText, timeText } from './format.ts';
import { exactMoneyText } from './money.ts';
import { instantText, rangeText } from './range.ts';
import { modelLabel, type Scene } from './scene.ts';
import { errorBox, fill, freshnessBadge, messageBox, type Remedies } from './status-view.ts';

/** Exports of an org, or over all: made, followed, downloaded and checked. */

const formats = [
  { value: 'csv', label: 'CSV: usage table' },
  { value: 'focus', label: 'FOCUS: FinOps costs' },
  { value: 'events', label: 'Events: raw rows' },
];
const granularities = [
  { value: 'hourly', label: 'Hourly' },
  { value: 'daily', label: 'Daily' },
  { value: 'monthly', label: 'Monthly' },
];
const grains = { auto: 'daily', hour: 'hourly', day: 'daily', month: 'monthly' } as const;

const pageSize = '20';
const pollFirstMs = 1_000;
const pollMostMs = 10_000;

export async function exportsView(
  scene: Scene,
  signal: AbortSignal,
  remedies: Remedies,
): Promise<Node> {
  const { state, org } = scene;
  const home = state.isAllOrgs ? '/exports' : pathTo`/orgs/${org}/exports`;
  const fresh = await ask({ path: pathTo`/orgs/${org}/freshness` }, freshnessAnswer, signal).catch(
    (error: unknown) => {
      // Finance may have no right to read it; each export says how complete it is.
      if (error instanceof ApiError && error.status === 403) return null;
      throw error;
    },
  );
  const list = el('div', { class: 'jobs' });
  const follow = () =>
    fill(list, signal, remedies, (asking) => jobList(scene, home, asking, signal));
  await follow();
  return el(
    'div',
    {},
    fresh === null
      ? el(
          'p',
          { class: 'muted' },
          'Freshness is not yours to read; each export says how complete it is.',
        )
      : freshnessBadge(fresh, state.timeZone),
    orderPanel(scene, home, signal, remedies, follow),
    el(
      'section',
      { class: 'panel' },
      el('div', { class: 'panel-head' }, el('h2', {}, 'Exports')),
      list,
    ),
  );
}

function orderPanel(
  scene: Scene,
  home: string,
  signal: AbortSignal,
  remedies: Remedies,
  onMade: () => Promise<void>,
): HTMLElement {
  const { state, config, range } = scene;
  let format = 'csv';
  let granularity: string = grains[state.granularity];
  const request = (): ApiRequest => ({
    path: home,
    body: {
      timeRange: { start: instantText(range.startMs), end: instantText(range.endMs) },
      granularity,
      timezone: state.timeZone,
      format,
      ...(state.models.length > 0 ? { models: state.models } : {}),
    },
  });
  const outcome = el('div', { class: 'outcome' });
  const make = button('Make export', () => void order(), { class: 'primary' });
  const order = async () => {
    make.disabled = true;
    outcome.replaceChildren();
    try {
      await ask(request(), exportJob, signal);
      announce('The export is on its way');
      await onMade();
    } catch (error) {
      const retry = () => void order();
      if (!signal.aborted) outcome.replaceChildren(errorBox(error, { ...remedies, retry }));
    } finally {
      make.disabled = false;
    }
  };
  const isAdmin = !config.isRbacOn || config.actor?.roles.includes('admin') === true;
  const whose = select(
    'For',
    [
      { value: 'org', label: scene.orgName ?? scene.org },
      { value: 'all', label: 'All organisations' },
    ],
    state.isAllOrgs ? 'all' : 'org',
    (value) => scene.go({ isAllOrgs: value === 'all' }),
  );
  const models =
    state.models.length === 0
      ? 'all models'
      : state.models.map((id) => modelLabel(scene, id)).join(', ');
  return el(
    'section',
    { class: 'panel' },
    el('div', { class: 'panel-head' }, el('h2', {}, 'New export')),
    el(
      'p',
      {},
      el('b', {}, rangeText(range, state.timeZone)),
      ` (${state.timeZone}), ${models}. Change it in the filters above.`,
    ),
    el(
      'div',
      { class: 'form' },
      isAdmin && whose,
      select('Format', formats, format, (value) => {
        format = value;
      }),
      select('Granularity', granularities, granularity, (value) => {
        granularity = value;
      }),
      make,
      button('Copy curl', () => copy(curlOf(request()), 'curl command'), { class: 'quiet' }),
    ),
    outcome,
  );
}

/** @param signal ends following the exports that are still being made */
async function jobList(
  scene: Scene,
  home: string,
  asking: AbortSignal,
  signal: AbortSignal,
): Promise<Node> {
  const page = (cursor: string | null, within: AbortSignal) => {
    const query = [
      ['limit', pageSize],
      ...(cursor === null ? [] : [['cursor', cursor] as const]),
    ] as const;
    return ask({ path: home, query }, exportsAnswer, within);
  };
  const { items, nextCursor } = await page(null, asking);
  if (items.length === 0) {
    const advice =
      'Choose a window above and make one. It is made in the background and kept for a while.';
    return messageBox('empty', 'No exports yet', [advice]);
  }
  const list = el('ul', { class: 'job-list' });
  const show = (jobs: readonly ExportJob[]) => {
    for (const job of jobs) {
      const card = el('li');
      list.append(card);
      void followJob(scene, home, card, job, signal);
    }
  };
  show(items);
  const more = el('div', { class: 'actions' });
  const offer = (cursor: string | null) =>
    more.replaceChildren(
      ...(cursor === null
        ? []
        : [
            button('Show older ones', () => {
              page(cursor, signal).then(
                (next) => {
                  show(next.items);
                  offer(next.nextCursor);
                },
                (error: unknown) =>
                  announce(error instanceof Error ? error.message : String(error)),
              );
            }),
          ]),
    );
  offer(nextCursor);
  return el('div', {}, list, more);
}

/** Shows a job, and asks how it is until it is done; more seldom the longer it takes. */
async function followJob(
  scene: Scene,
  home: string,
  card: HTMLElement,
  first: ExportJob,
  signal: AbortSignal,
): Promise<void> {
  let job = first;
  card.replaceChildren(jobCard(scene, home, job, signal));
  for (let waitMs = pollFirstMs; ; waitMs = Math.min(waitMs * 1.5, pollMostMs)) {
    if (job.status !== 'pending' && job.status !== 'running') return;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (signal.aborted || (waitMs > pollFirstMs && !card.isConnected)) return;
    // A tab that nobody looks at asks nothing.
    if (document.hidden) continue;
    try {
      const now = await ask({ path: home + pathTo`/${job.jobId}` }, exportJob, signal);
      if (now.status !== job.status) {
        card.replaceChildren(jobCard(scene, home, now, signal));
        announce(`Export ${statusWords[now.status].toLowerCase()}`);
      }
      job = now;
    } catch {
      // Asked again; what is shown is the last that was known.
      if (signal.aborted) return;
    }
  }
}

const statusWords: Readonly<Record<ExportJob['status'], string>> = {
  pending: 'Waiting',
  running: 'Being made',
  succeeded: 'Ready',
  failed: 'Failed',
  expired: 'Expired',
};

function jobCard(scene: Scene, home: string, job: ExportJob, signal: AbortSignal): HTMLElement {
  const { state, config } = scene;
  const time = (ms: number | null) => (ms === null ? '–' : timeText(ms, state.timeZone));
  const range = {
    startMs: Date.parse(job.timeRange.start),
    endMs: Date.parse(job.timeRange.end),
  };
  const outcome = el('p', { class: 'outcome', role: 'status' });
  const download = async () => {
    try {
      const link = await ask({ path: home + pathTo`/${job.jobId}/download` }, exportLink, signal);
      el('a', { href: link.url, download: link.filename }).click();
      outcome.textContent = `${link.filename} is being downloaded. Check the file once it is here.`;
    } catch (error) {
      outcome.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const picker = el('input', {
    type: 'file',
    'aria-label': 'File to check',
    class: 'sr-only',
    tabindex: -1,
  });
  picker.addEventListener('change', async () => {
    const [file] = picker.files ?? [];
    if (file === undefined || job.checksum === null) return;
    outcome.textContent = `Checking ${file.name}…`;
    const { isSame, words } = await checkFile(file, job.checksum);
    outcome.textContent = words;
    outcome.className = `outcome ${isSame === null ? '' : isSame ? 'good' : 'bad'}`;
    picker.value = '';
  });
  const models =
    job.models === null ? '' : `, ${job.models.map((id) => modelLabel(scene, id)).join(', ')}`;
  const facts: [string, string | Node][] = [
    ['Made', `${time(job.completedAt ?? job.createdAt)} by ${job.initiatedBy}`],
    ...(job.completeThrough === null
      ? []
      : [['Complete through', time(job.completeThrough)] as [string, string]]),
    ...(job.rowCount === null || job.bytes === null
      ? []
      : [['Size', `${countText(job.rowCount)} rows, ${bytesText(job.bytes)}`] as [string, string]]),
    ...(job.totals === null
      ? []
      : [
          [
            'Totals',
            `${exactMoneyText(job.totals.costEstimateCents, config.currency)}, ${countText(job.totals.invocations)} requests`,
          ] as [string, string],
        ]),
    ...(job.expiresAt === null ? [] : [['Kept until', time(job.expiresAt)] as [string, string]]),
    ...(job.checksum === null
      ? []
      : [['SHA-256', el('code', { class: 'checksum' }, job.checksum)] as [string, Node]]),
  ];
  const isReady = job.status === 'succeeded';
  return el(
    'article',
    { class: 'job' },
    el(
      'header',
      {},
      el('span', { class: `pill ${job.status}` }, statusWords[job.status]),
      el(
        'h3',
        {},
        `${job.format === 'csv' ? 'CSV' : job.format === 'focus' ? 'FOCUS' : 'Events'}, ${job.granularity}, ${rangeText(range, job.timezone)}`,
      ),
      el('span', { class: 'muted' }, `${job.timezone}${models}`),
    ),
    el(
      'dl',
      {},
      ...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    ),
    job.error !== null && job.status !== 'succeeded'
      ? el('p', { class: 'outcome bad' }, `Attempt ${job.attempts}: ${job.error}`)
      : null,
    isReady &&
      el(
        'div',
        { class: 'actions' },
        button('Download', () => void download(), { class: 'primary' }),
        button('Check a file', () => picker.click()),
        picker,
        button('Copy checksum', () => copy(job.checksum ?? '', 'Checksum'), { class: 'quiet' }),
        button(
          'Copy curl',
          () =>
            copy(
              `${curlOf({ path: home + pathTo`/${job.jobId}/download` })} -L -OJ`,
              'curl command',
            ),
          { class: 'quiet' },
        ),
      ),
    outcome,
  );
}
