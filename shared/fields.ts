/** Parsed JSON whose form is not known yet: looked at by the field, never through all of them. */

export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of what may be no object at all. */
export function fieldOf(value: unknown, name: string): unknown {
  return isFields(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/**
 * Whether an object has more keys than anything valid. Asked before a schema sees it, which looks at
 * each key several times: one event with 200,000 of them kept the process for 0.8 s.
 */
export function hasMoreKeys(value: unknown, max: number): boolean {
  return isFields(value) && Object.keys(value).length > max;
}
