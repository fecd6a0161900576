import { functionNames } from '../build.ts';

/** What a function's image runs as, and so who deploys it. */
type Form = 'service' | 'deployment' | 'job';

export interface DeployedFunction {
  /** Its folder below `functions/`. */
  name: string;
  /** Its image, and the object of the cluster that runs it. */
  object: string;
  form: Form;
}

/** func makes a Knative Service of whatever it deploys; these are something else. */
const otherForms: Readonly<Record<string, Form>> = { consumer: 'deployment', bootstrap: 'job' };

/**
 * The functions of those names, or every one for `all`.
 *
 * @throws Error that lists the names there are.
 */
export function chooseFunctions(names: readonly string[]): DeployedFunction[] {
  const known = functionNames();
  const wrong = names.filter((name) => name !== 'all' && !known.includes(name));
  if (wrong.length > 0) {
    throw new Error(
      `no function ${wrong.join(', ')}; there are ${known.join(', ')}, and all for every one`,
    );
  }
  return known
    .filter((name) => names.includes(name) || names.includes('all'))
    .map((name) => ({ name, object: `analytics-${name}`, form: otherForms[name] ?? 'service' }));
}

export function ofForm(form: Form): (one: DeployedFunction) => boolean {
  return (one) => one.form === form;
}
