import { readdir, readFile } from 'node:fs/promises';

/**
 * Memory of a process and of all that descend from it, in MB. What several share, such as
 * PostgreSQL's buffers, counts once (Pss) where the system lets us see it; else it counts as resident
 * in each.
 */
export async function treeMb(root: number): Promise<number> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (/^\d+$/.test(name)) parents.set(Number(name), await parentOf(name));
  }
  const tree = [root];
  for (const pid of tree) {
    for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  }
  const sizes = await Promise.all(tree.map(ownMb));
  return sizes.reduce((sum, mb) => sum + mb, 0);
}

async function parentOf(pid: string): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is a name in parentheses that may itself hold spaces.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}

async function ownMb(pid: number): Promise<number> {
  const read = async (file: string, field: string) => {
    const text = await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
    const kb = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
    return kb === undefined ? undefined : Number(kb) / 1_024;
  };
  return (await read('smaps_rollup', 'Pss')) ?? (await read('status', 'VmRSS')) ?? 0;
}
