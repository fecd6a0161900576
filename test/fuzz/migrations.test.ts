import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { type Database, openDatabase } from '../../shared/platform/database/db.ts';
import { migrate } from '../../shared/preparation/migrate.ts';
import { emptyDatabase, type TestDatabase } from '../support/database.ts';
import { corpusLines, fuzzRuns } from '../support/fuzz.ts';
import { until } from '../support/until.ts';

/** What happens to a folder of migrations and the database it is for. */
const stepForm = z.discriminatedUnion('do', [
  /** A file with the next number. */
  z.object({ do: z.literal('add'), body: z.enum(['good', 'fails', 'commits', 'rolls back']) }),
  /** What the last file did wrong, it no longer does. */
  z.object({ do: z.literal('mend') }),
  /** So many migrators at once. */
  z.object({ do: z.literal('run'), runners: z.int().min(1).max(3) }),
  /** A migrator whose connection ends in the middle of a new file, as when it is killed. */
  z.object({ do: z.literal('killed') }),
  z.object({ do: z.literal('change'), index: z.int().min(0) }),
  z.object({ do: z.literal('rename'), index: z.int().min(0), to: z.string() }),
  z.object({ do: z.literal('remove'), index: z.int().min(0) }),
  /** A file that belongs before the others. */
  z.object({ do: z.literal('early') }),
  /** A file, or a folder where it ends in a slash, that is no migration by its name. */
  z.object({ do: z.literal('odd'), name: z.string() }),
]);
type Step = z.output<typeof stepForm>;

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('add' as const),
      body: fc.constantFrom('good', 'good', 'good', 'fails', 'commits', 'rolls back'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('run' as const),
      runners: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'mend' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'killed' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('change', 'remove'), index: fc.nat(4) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('rename' as const),
      index: fc.nat(4),
      to: fc.constantFrom('0002_z.sql', '0009_later.sql', '0003_a.sql'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'early' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('odd' as const),
      name: fc.oneof(
        fc.constantFrom('._0002_m.sql', '2_m.sql', '0003_Ü.sql', "0003_'; drop.sql", '10000_m.sql'),
        fc.constantFrom('0002_m.SQL', '0002.sql', '.sql', ' .sql', '0003_m\n.sql', '0004_m.sql/'),
        fc.constantFrom('0002_m.sql~', 'README.md', '0002_m.sql.orig', 'schema.txt'),
      ),
    }),
  },
);

/** A file as the model has it. */
interface File {
  /** What it leaves behind is named by this, whatever its name. */
  id: number;
  body: 'good' | 'fails' | 'commits' | 'rolls back';
  isChanged: boolean;
}

const wrongPart: Record<File['body'], string> = {
  good: '',
  fails: 'select 1 / 0;',
  commits: 'commit; begin;',
  'rolls back': 'rollback; begin;',
};

function sqlOf({ id, body, isChanged }: File): string {
  return `create table analytics.first_${id} (n int);
    insert into analytics.effects values (${id});
    ${wrongPart[body]}
    create table analytics.last_${id} (n int);
    ${isChanged ? '-- changed' : ''}`;
}

const firstName = '0001_first.sql';
const firstSql = `create table analytics.usage_events (n int);
  create table analytics.effects (id int);`;

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await emptyDatabase();
  database = openDatabase({ url: testDatabase.url, connectionsMax: 2 });
});
afterAll(async () => {
  await database?.close();
  await testDatabase?.drop();
});

class Model {
  /** The folder's migrations but the first, and odd entries of the folder. */
  readonly files = new Map<string, File>();
  readonly odd = new Set<string>();
  /** What must be recorded, each with what it was when it was applied. */
  readonly applied = new Map<string, File>();
  #hasFirst = false;
  #ids = 0;

  newFile(body: File['body']): File {
    this.#ids += 1;
    return { id: this.#ids, body, isChanged: false };
  }

  names(): string[] {
    return [...this.files.keys()].sort();
  }

  /** Whether the migrators must succeed; what they must apply is noted. */
  run(): boolean {
    if ([...this.odd].some((name) => /\.sql\/?$/i.test(name))) return false;
    this.#hasFirst = true;
    const names = this.names();
    const last = names.at(-1) ?? firstName;
    const lastApplied = [...this.applied.keys()].sort().at(-1) ?? '';
    const isHistory =
      [...this.applied.keys()].every((name) => name > last || this.files.has(name)) &&
      names.every((name) => {
        const [file, known] = [this.files.get(name), this.applied.get(name)];
        return known === undefined
          ? name > lastApplied
          : file !== undefined && sqlOf(file) === sqlOf(known);
      });
    if (!isHistory) return false;
    for (const name of names) {
      const file = this.files.get(name);
      if (file === undefined || this.applied.has(name)) continue;
      if (file.body !== 'good') return false;
      this.applied.set(name, { ...file });
    }
    return true;
  }

  get hasFirst(): boolean {
    return this.#hasFirst;
  }
}

/** What is recorded, and what there is of each file. */
async function state(): Promise<{ recorded: string[]; effects: number[]; tables: string[] }> {
  const [exists] = await database.query<{ is: boolean }>(
    `select to_regclass('analytics.effects') is not null as is`,
  );
  if (exists?.is !== true) return { recorded: [], effects: [], tables: [] };
  const list = async <T>(sql: string) =>
    (await database.query<{ value: T }>(sql)).map(({ value }) => value);
  return {
    recorded: await list<string>(
      'select name as value from analytics.migrations order by name collate "C"',
    ),
    effects: await list<number>('select id as value from analytics.effects order by id'),
    tables: await list<string>(
      `select relname::text as value from pg_class
       where relnamespace = 'analytics'::regnamespace and relname ~ '^(first|last)_'
       order by relname collate "C"`,
    ),
  };
}

function expected({ applied, hasFirst }: Model) {
  const ids = [...applied.values()].map(({ id }) => id);
  return {
    recorded: [...(hasFirst ? [firstName] : []), ...applied.keys()].sort(),
    effects: [...ids].sort((a, b) => a - b),
    tables: ids.flatMap((id) => [`first_${id}`, `last_${id}`]).sort(),
  };
}

async function killedRun(folder: string, path: string, file: File): Promise<void> {
  await writeFile(path, `${sqlOf(file)}; select pg_sleep(60);`);
  const run = migrate(testDatabase.url, { folder });
  const failed = expect(run).rejects.toThrow();
  let isOver = false;
  run
    .catch(() => {})
    .finally(() => {
      isOver = true;
    });
  await until('the migration is under way, or refused', async () => {
    const [killed] = await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and wait_event = 'PgSleep'`,
    );
    return isOver || killed !== undefined;
  });
  await failed;
}

async function play(history: readonly Step[]): Promise<void> {
  await database.query('drop schema if exists analytics cascade');
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-migrations-'));
  const at = (name: string) => join(folder, name);
  const model = new Model();
  const write = async (name: string, file: File) => {
    model.files.set(name, file);
    await writeFile(at(name), sqlOf(file));
  };
  const nextName = () => {
    const last = [...model.names(), ...model.applied.keys(), firstName].sort().at(-1) ?? '';
    return `${String(Number(last.slice(0, 4)) + 1).padStart(4, '0')}_m.sql`;
  };
  try {
    await writeFile(at(firstName), firstSql);
    for (const step of history) {
      const names = model.names();
      const name = 'index' in step ? names[step.index % (names.length || 1)] : names.at(-1);
      const file = name === undefined ? undefined : model.files.get(name);
      if (step.do === 'add') await write(nextName(), model.newFile(step.body));
      else if (step.do === 'early') await write('0002_a.sql', model.newFile('good'));
      else if (step.do === 'odd') {
        model.odd.add(step.name);
        if (step.name.endsWith('/')) await mkdir(at(step.name), { recursive: true });
        else await writeFile(at(step.name), 'create table analytics.odd (n int)');
      } else if (step.do === 'run') {
        const isGood = model.run();
        const runs = Array.from({ length: step.runners }, () =>
          migrate(testDatabase.url, { folder }),
        );
        const reports = await Promise.allSettled(runs);
        const verdicts = reports.map(({ status }) => status);
        expect(new Set(verdicts)).toEqual(new Set([isGood ? 'fulfilled' : 'rejected']));
        expect(await state()).toEqual(expected(model));
      } else if (step.do === 'killed') {
        const killed = model.newFile('good');
        const before = nextName();
        model.files.set(before, { ...killed, body: 'fails' });
        model.run();
        await killedRun(folder, at(before), killed);
        expect(await state()).toEqual(expected(model));
        await write(before, killed);
      } else if (name !== undefined && file !== undefined) {
        if (step.do === 'mend') await write(name, { ...file, body: 'good' });
        else if (step.do === 'change') await write(name, { ...file, isChanged: !file.isChanged });
        else if (step.do === 'remove') {
          model.files.delete(name);
          await rm(at(name));
        } else if (!model.files.has(step.to)) {
          model.files.delete(name);
          model.files.set(step.to, file);
          await rename(at(name), at(step.to));
        }
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('a migration is applied whole and recorded once, or leaves nothing', async () => {
  const examples = corpusLines('migrations.txt').map((line): [Step[]] => [
    z.array(stepForm).parse(JSON.parse(line)),
  ]);
  await fc.assert(
    fc.asyncProperty(
      fc
        .array(steps, { minLength: 2, maxLength: 7 })
        .map((history): Step[] => [...history, { do: 'run', runners: 2 }]),
      play,
    ),
    fuzzRuns(12, examples),
  );
});
