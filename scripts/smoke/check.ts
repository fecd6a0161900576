import { messageOf } from '../../shared/platform/errors.ts';

export interface CheckResult {
  name: string;
  outcome: 'ok' | 'failed' | 'skipped';
  /** What was seen; of a failure what was expected, what came, and what to do next. */
  detail: string;
  tookMs: number;
}

/** What a check leaves for those that build on it. */
export type Outcome<T> = { passed: true; value: T } | { passed: false; name: string };

/** What was seen, in words, and what others need of it. */
export interface Seen<T> {
  seen: string;
  value: T;
}

export interface Checks {
  readonly results: readonly CheckResult[];
  /** Runs `work` with what `need` left, or skips it where that did not pass. Never throws. */
  check<N, T>(
    name: string,
    need: Outcome<N>,
    work: (value: N) => Promise<Seen<T>>,
  ): Promise<Outcome<T>>;
}

/** The need of a check that needs nothing. */
export const nothing: Outcome<null> = { passed: true, value: null };

/** The first that did not pass stands for both. */
export function both<A, B>(a: Outcome<A>, b: Outcome<B>): Outcome<[A, B]> {
  if (!a.passed) return a;
  if (!b.passed) return b;
  return { passed: true, value: [a.value, b.value] };
}

export function openChecks(onResult: (result: CheckResult) => void): Checks {
  const results: CheckResult[] = [];
  return {
    results,
    check: async (name, need, work) => {
      const startedMs = performance.now();
      const done = (outcome: CheckResult['outcome'], detail: string) => {
        const result = { name, outcome, detail, tookMs: Math.round(performance.now() - startedMs) };
        results.push(result);
        onResult(result);
      };
      const notPassed = { passed: false, name } as const;
      if (!need.passed) {
        done('skipped', `needs ${need.name}`);
        return notPassed;
      }
      try {
        const { seen, value } = await work(need.value);
        done('ok', seen);
        return { passed: true, value };
      } catch (error) {
        if (error instanceof SkipCheck) done('skipped', error.message);
        else done('failed', messageOf(error));
        return notPassed;
      }
    },
  };
}

/** Thrown where there is nothing to judge, with the reason. */
export class SkipCheck extends Error {
  override name = 'SkipCheck';
}

/** The sections of docs/runbook.md that a failure can lead to. */
export const sections = {
  firstLook: 'first-look',
  access: 'rbac-middleware-rejecting-requests',
  status: 'analyticsstatusdown',
  consumer: 'analyticsconsumerdown',
  refresh: 'analyticsrefreshdown',
  function: 'analyticsfunctiondown',
  dedupe: 'analyticsdedupefailing',
  rollup: 'timescale-aggregate-stale',
  drift: 'analyticsrollupdrift',
  rejects: 'rejects',
  exports: 'stuck-exports',
  exportErrors: 'analyticsexportfailing',
} as const;

export interface Failure {
  expected: string;
  came: string;
  section: keyof typeof sections;
  /** A way out that is nearer than the runbook. */
  hint?: string;
  /** What was asked, with the X-Request-Id that finds it in the log. */
  request?: string;
  /** The answer may be another one in a moment: waiting for it makes sense. */
  mayPass?: boolean;
}

/** Thrown by a check that fails. */
export class CheckFailure extends Error {
  override name = 'CheckFailure';
  readonly mayPass: boolean;

  constructor({ expected, came, section, hint, request, mayPass = false }: Failure) {
    const next = [hint, `docs/runbook.md#${sections[section]}`].filter(Boolean).join(', ');
    const asked = request === undefined ? '' : `; asked ${request}`;
    super(`expected ${expected}; came ${came}; next: ${next}${asked}`);
    this.mayPass = mayPass;
  }
}
