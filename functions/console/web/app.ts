import { type Config, consoleConfig, modelsAnswer } from './answers.ts';
import { ApiError, ask, askAt, pathTo } from './api.ts';
import { button, el } from './dom.ts';
import { exportsView } from './exports-view.ts';
import { keepFocus } from './focus.ts';
import { header, viewNames } from './header.ts';
import { chooseActor, chosenActor, token } from './identity.ts';
import { devActor, openIdentityDialog } from './identity-dialog.ts';
import { closeMenus } from './menu.ts';
import { type Org, orgsOf } from './orgs.ts';
import { autoGranularity, previousRange, resolveRange } from './range.ts';
import { reliabilityView } from './reliability-view.ts';
import { bucketsOf, type Scene } from './scene.ts';
import { type ConsoleState, readState, type View, writeState } from './state.ts';
import { errorBox, fill, messageBox, type Remedies } from './status-view.ts';
import { toolbar } from './toolbar.ts';
import { usageView } from './usage-view.ts';

/** The console: reads its address, finds out who is looking, and shows what was asked for. */

const { timeZone: ownZone } = Intl.DateTimeFormat().resolvedOptions();
const top = region('top');
const main = region('main');
const filters = el('div', { id: 'filters' });
const content = el('div', { id: 'content' });

interface Session {
  config: Config;
  orgs: readonly Org[];
}

interface Models {
  ids: readonly string[];
  names: ReadonlyMap<string, string>;
  orgName: string | null;
}

let state = readState(location.search, ownZone);
let session: Session | null = null;
let models = new Map<string, Models>();
/** Ends what is under way for the view before. */
let current = new AbortController();

function region(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no ${id}`);
  return element;
}

function go(change: Partial<ConsoleState>): void {
  const isOtherView = change.view !== undefined && change.view !== state.view;
  state = { ...state, ...change };
  history.pushState(null, '', writeState(state));
  if (isOtherView) {
    content.replaceChildren();
    scrollTo({ top: 0 });
  }
  draw();
}

function signalOfNext(): AbortSignal {
  current.abort();
  current = new AbortController();
  return current.signal;
}

function orgShown(): string | null {
  return state.org ?? session?.orgs[0]?.id ?? null;
}

function openIdentity(): void {
  openIdentityDialog(session?.config ?? null, orgShown(), () => void start());
}

/** Asks who is looking, and which orgs there are for them. */
async function start(): Promise<void> {
  const signal = signalOfNext();
  session = null;
  models = new Map();
  filters.replaceChildren();
  content.replaceChildren();
  main.replaceChildren(filters, content);
  drawHeader();
  const remedies: Remedies = { retry: () => void start(), signIn: openIdentity };
  await fill(content, signal, remedies, async (asking) => {
    const getConfig = () => askAt('/analytics/console/config', consoleConfig, asking);
    let config = await getConfig();
    const isStranger = config.actor === null && config.isRbacOn;
    if (isStranger && config.canSwitchActor && chosenActor() === null && token() === null) {
      chooseActor(devActor('Admin', ''));
      config = await getConfig();
    }
    session = { config, orgs: [] };
    if (config.actor === null && config.isRbacOn) return signInBox(config);
    session = { config, orgs: await orgsOf(config, asking) };
    return el('div');
  });
  if (signal.aborted) return;
  drawHeader();
  if (session === null || content.querySelector('.message') !== null) return;
  if (orgShown() === null) {
    const advice =
      'You are signed in, but no organisation is yours to see. Ask whoever manages access to add you to one.';
    content.replaceChildren(
      messageBox('empty', 'No organisation', [advice], button('Who am I?', openIdentity)),
    );
    return;
  }
  draw();
}

function signInBox({ refusal, authMode }: Config): HTMLElement {
  const isTokenBad = refusal?.code === 'invalid_token';
  const advice =
    authMode === 'jwt'
      ? 'Paste an access token of your identity provider to go on.'
      : 'Sign in at your gateway and reload this page, or paste a bearer token that it takes.';
  return messageBox(
    isTokenBad ? 'error' : 'forbidden',
    isTokenBad ? 'Your token is not accepted' : 'Sign in to see your numbers',
    [isTokenBad ? `The service says: ${refusal.detail}.` : advice, ...(isTokenBad ? [advice] : [])],
    button('Sign in', openIdentity, { class: 'primary' }),
    button('Try again', () => void start()),
  );
}

function drawHeader(): void {
  document.title = `${viewNames[state.view]} · Analytics`;
  keepFocus(top, () =>
    top.replaceChildren(
      ...header({
        state,
        config: session?.config ?? null,
        orgs: session?.orgs ?? [],
        org: orgShown(),
        addressOf: (view: View) => writeState({ ...state, view }),
        go,
        openIdentity,
      }),
    ),
  );
}

/** Shows what the address says. */
function draw(): void {
  const org = orgShown();
  if (session === null || org === null) return void start();
  const { config } = session;
  const signal = signalOfNext();
  const remedies: Remedies = { retry: draw, signIn: openIdentity };
  drawHeader();
  let scene: Scene;
  try {
    scene = sceneOf(config, org);
  } catch (error) {
    content.replaceChildren(errorBox(error, remedies));
    filters.replaceChildren();
    return;
  }
  const drawFilters = () =>
    keepFocus(filters, () => filters.replaceChildren(toolbar(scene, signal, draw)));
  drawFilters();
  void keepFocus(content, () =>
    fill(content, signal, remedies, async (asking) => {
      const known = await modelsOf(org, asking);
      scene = { ...scene, modelIds: known.ids, modelNames: known.names, orgName: known.orgName };
      if (!signal.aborted) drawFilters();
      if (state.view === 'usage') return usageView(scene, asking);
      if (state.view === 'reliability') return reliabilityView(scene, asking);
      return exportsView(scene, asking, remedies);
    }),
  );
}

function sceneOf(config: Config, org: string): Scene {
  const nowMs = Date.now();
  const range = resolveRange(state.range, state.timeZone, nowMs);
  const granularity = state.granularity === 'auto' ? autoGranularity(range) : state.granularity;
  return {
    state,
    config,
    org,
    orgName: null,
    modelNames: new Map(),
    modelIds: [],
    range,
    granularity,
    bucketStarts: bucketsOf(range, granularity, state.timeZone),
    before: state.compare
      ? {
          whole: previousRange(range, state.timeZone),
          soFar: previousRange(range, state.timeZone, nowMs),
        }
      : null,
    go,
  };
}

/** The models of an org and their names, asked for once. */
async function modelsOf(org: string, signal: AbortSignal): Promise<Models> {
  const known = models.get(org);
  if (known !== undefined) return known;
  try {
    const answer = await ask({ path: pathTo`/orgs/${org}/models` }, modelsAnswer, signal);
    const found = {
      ids: answer.models.map(({ modelId }) => modelId),
      names: new Map(
        answer.models.flatMap(({ modelId, name }) => (name === null ? [] : [[modelId, name]])),
      ),
      orgName: answer.orgName,
    };
    models.set(org, found);
    return found;
  } catch (error) {
    // Finance may not be allowed to list them: ids will do.
    if (!(error instanceof ApiError) || error.status !== 403) throw error;
    return { ids: [], names: new Map(), orgName: null };
  }
}

addEventListener('popstate', () => {
  state = readState(location.search, ownZone);
  draw();
});
closeMenus();
void start();
