import { button } from './dom.ts';
import { groupLabel, type Scene } from './scene.ts';

/** A table's first column: the model or client of a row, which leads to that one alone. */
export function groupColumn(scene: Scene) {
  const isByClient = scene.state.by === 'client';
  const keyOf = ({ key }: { key: string | null }) => key ?? '';
  return {
    label: isByClient ? 'Client' : 'Model',
    cell: (row: { key: string | null }) =>
      button(
        groupLabel(scene, keyOf(row)),
        () => scene.go(isByClient ? { clients: [keyOf(row)] } : { models: [keyOf(row)] }),
        {
          class: 'link',
          title: `Show ${keyOf(row) === '' ? 'requests without a client' : keyOf(row)} alone`,
        },
      ),
    order: (row: { key: string | null }) => groupLabel(scene, keyOf(row)),
  };
}
