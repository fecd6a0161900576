import { expect } from 'vitest';
import { postgresAnswers } from '../../scripts/services/postgres.ts';
import type { Queryable } from '../../shared/platform/database/db.ts';
import { type FaultRun, faultTest } from '../support/faults/fault-test.ts';
import { openSession, takeConnections, waitedFor } from '../support/faults/others.ts';
import { type FaultServer, startPostgres } from '../support/faults/servers.ts';
import { makeSmallDisk, noSmallDisk, type SmallDisk } from '../support/faults/small-disk.ts';
import { type ReplicatedPostgres, startReplicated } from '../support/faults/standby.ts';
import { withAdmin } from '../support/template-database.ts';
import { until } from '../support/until.ts';

/** As often as consumers logged it by now. */
function logged(run: FaultRun, words: string): number {
  return run.consumer.log().split(words).length - 1;
}

async function logsAnew(run: FaultRun, words: string, work: () => Promise<unknown>): Promise<void> {
  const before = logged(run, words);
  await work();
  await until(`a consumer says "${words}"`, async () => logged(run, words) > before, {
    timeoutMs: run.extent.settleMaxMs,
  });
}

let disk: SmallDisk;
let onSmallDisk: FaultServer;

faultTest(
  'disk-full',
  {
    skip: noSmallDisk,
    databaseServer: async () => {
      disk = makeSmallDisk(256);
      onSmallDisk = await startPostgres(
        { max_wal_size: '64MB', min_wal_size: '32MB' },
        disk.folder,
      );
      const stop = async () => {
        await onSmallDisk.stop();
        disk.remove();
      };
      return { url: onSmallDisk.url, stop };
    },
  },
  async (run) => {
    await run.rounds(async () => {
      await logsAnew(run, 'No space left on device', async () => disk.fill());
      await run.hold();
      disk.free();
      // Without room for its log PostgreSQL gives up; the platform starts it again.
      await until('PostgreSQL answers', async () => {
        await onSmallDisk.start();
        await postgresAnswers(onSmallDisk.url);
        return true;
      });
    });
  },
);

/** Sets what every session of the server begins a transaction with, or resets it. */
async function alterServer(run: FaultRun, setting: string, value: string | null): Promise<void> {
  await withAdmin(run.urls.database, async (admin) => {
    await admin.query(
      value === null ? `alter system reset ${setting}` : `alter system set ${setting} = ${value}`,
    );
    await admin.query('select pg_reload_conf()');
  });
}

faultTest('database-read-only', {}, async (run) => {
  try {
    await run.rounds(async () => {
      await logsAnew(run, 'in a read-only transaction', () =>
        alterServer(run, 'default_transaction_read_only', 'on'),
      );
      await run.hold();
      // Whoever reads goes on.
      await until('usage is answered', async () => (await run.ask('usage')).status === 200);
      await alterServer(run, 'default_transaction_read_only', null);
    });
  } finally {
    await alterServer(run, 'default_transaction_read_only', null);
  }
});

let replicated: ReplicatedPostgres;

faultTest(
  'failover-read-only',
  {
    mayForget: true,
    databaseServer: async () => {
      replicated = await startReplicated();
      return replicated;
    },
  },
  async (run) => {
    await replicated.hasStandby();
    await run.progress();
    let unseen = 0;
    await logsAnew(run, 'in a read-only transaction', () =>
      replicated.failOver(async () => {
        await run.progress();
        await run.hold();
        unseen = await run.storedCount();
      }),
    );
    const kept = await run.storedCount();
    expect(kept).toBeLessThan(unseen);
    run.note(`${unseen - kept} stored events were undone, and read again`);
    await until('usage is answered', async () => (await run.ask('usage')).status === 200);
    await replicated.promote();
  },
);

faultTest('connections-exhausted', {}, async (run) => {
  await run.rounds(async () => {
    const others = await takeConnections(run.urls.database);
    try {
      await logsAnew(run, 'the database is not available', () =>
        run.database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database()
             and application_name not in ('somebody else', 'fault test')`,
        ),
      );
      // A session that ended frees its place for whoever asks first, which may be the consumer: that
      // it was refused is in its log, and how much it stores meanwhile is nobody's promise.
      await run.hold();
    } finally {
      await others.release();
    }
  });
});

/**
 * Locks in the other order than a transaction of ours, again and again until the server has ended
 * ours: whoever waits looks for a circle once, and this session may come too late for that.
 */
async function deadlock(run: FaultRun, first: string, then: string): Promise<void> {
  const before = await deadlockCount(run);
  const lockOnce = async () => {
    const session = await openSession(run.urls.database);
    try {
      // Never the one to look.
      await session.query(`begin; set local deadlock_timeout = '60s'; ${first}`);
      await waitedFor(run.database, session);
      await session.query(then);
      await session.query('rollback');
    } finally {
      await session.end();
    }
    return (await deadlockCount(run)) > before;
  };
  await until('the server ends a deadlock', lockOnce, { timeoutMs: run.extent.settleMaxMs });
}

async function deadlockCount(run: FaultRun): Promise<number> {
  const [row] = await run.database.query<{ deadlocks: number }>(
    'select deadlocks::int from pg_stat_database where datname = current_database()',
  );
  return row?.deadlocks ?? 0;
}

faultTest('deadlocks', {}, async (run) => {
  await alterServer(run, 'deadlock_timeout', `'1s'`);
  try {
    await run.rounds(async () => {
      await logsAnew(run, 'deadlock detected', () =>
        // A batch inserts, then moves the offset.
        deadlock(
          run,
          'select from analytics.stream_offsets for update',
          'lock table analytics.usage_events in share mode',
        ),
      );
      await until('rollups have rows', async () => {
        const rows = await run.database.query('select from analytics.usage_daily limit 1');
        return rows.length > 0;
      });
      // A fold adds to the hours, then to the days.
      await deadlock(
        run,
        'select from analytics.usage_daily for update',
        'select from analytics.usage_hourly for update',
      );
    });
  } finally {
    await alterServer(run, 'deadlock_timeout', null);
  }
  run.note(`${await deadlockCount(run)} deadlocks`);
});

/** For a lock, be it in a queue behind the consumer. It may be the schedule's probe or the test's. */
async function probeWaits(database: Queryable): Promise<void> {
  await until(
    'a probe waits for a lock',
    async () => {
      const waiting = await database.query(
        `select from pg_stat_activity
         where datname = current_database() and query like 'insert%head_probed_at%'
           and cardinality(pg_blocking_pids(pid)) > 0`,
      );
      return waiting.length > 0;
    },
    { everyMs: 10 },
  );
}

faultTest('serialization-errors', {}, async (run) => {
  const setting = 'default_transaction_isolation';
  const faults: string[] = [];
  try {
    await alterServer(run, setting, 'serializable');
    await run.rounds(async () => {
      await until('a probe could not be serialized', async () => {
        const session = await openSession(run.urls.database);
        try {
          // Waits for a commit of the consumer's instead of failing by it: only ours must fail.
          await session.query(
            `begin isolation level read committed;
             update analytics.stream_offsets set epoch = epoch`,
          );
          const refreshed = run.service.refresh();
          await probeWaits(run.database);
          await session.query('commit');
          const { probeFault } = await refreshed;
          if (probeFault?.includes('could not serialize')) faults.push(probeFault);
        } finally {
          await session.end();
        }
        return faults.length > 0;
      });
      await run.hold();
      await run.progress();
    });
  } finally {
    await alterServer(run, setting, null);
  }
  run.note(`${faults.length} serialization errors`);
});
