import type { KubernetesObject } from '../../scripts/knative/render.ts';

/** Whether a list asked for with these selectors, as kubectl sends them, holds the object. */
export function isSelected(object: KubernetesObject, labels: string, fields: string): boolean {
  return (
    requirements(labels).every((one) => meets(one, (key) => object.metadata.labels?.[key])) &&
    requirements(fields).every((one) => meets(one, (path) => fieldOf(object, path)))
  );
}

interface Requirement {
  key: string;
  isEqual: boolean;
  /** Any value will do when absent. */
  value?: string | undefined;
}

function requirements(selector: string): Requirement[] {
  return selector
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [, key = '', operator, value] = /^([^=!()\s]+)(?:(!=|==?)(\S*))?$/.exec(part) ?? [];
      if (key === '') throw new Error(`a selector that is not understood here: ${part}`);
      return { key, isEqual: operator !== '!=', value };
    });
}

function meets({ key, isEqual, value }: Requirement, look: (key: string) => unknown): boolean {
  const found = look(key);
  // A field that is not there is the empty one, as for the events of an object without a uid.
  return value === undefined ? found !== undefined : ((found ?? '') === value) === isEqual;
}

function fieldOf(object: object, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, key) => (value instanceof Object ? Reflect.get(value, key) : undefined),
      object,
    );
}
