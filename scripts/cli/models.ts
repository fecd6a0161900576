import { modelsAnswer } from '../../functions/usage/openapi.ts';
import type { Api } from './api.ts';
import { UsageError } from './failure.ts';

/** What the models of an org are called. */
export interface ModelNames {
  /** The name where one is known, else the id. */
  nameOf(modelId: string): string;
  /** The ids of models that were given by id or name. @throws UsageError that names an unknown one */
  idsOf(models: readonly string[]): string[];
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export async function readModels(api: Api, orgId: string) {
  return api.ask(`/orgs/${orgId}/models`, modelsAnswer);
}

export async function readModelNames(api: Api, orgId: string): Promise<ModelNames> {
  const { models } = (await readModels(api, orgId)).value;
  const names = new Map(models.map(({ modelId, name }) => [modelId, name ?? modelId]));
  return {
    nameOf: (modelId) => names.get(modelId) ?? modelId,
    idsOf: (given) => given.flatMap((model) => idsOf(model, models)),
  };
}

/** Two models may have one name: then both are meant. */
function idsOf(
  model: string,
  models: readonly { modelId: string; name: string | null }[],
): string[] {
  if (uuid.test(model)) return [model.toLowerCase()];
  const found = models.filter(({ name }) => name === model);
  if (found.length > 0) return found.map(({ modelId }) => modelId);
  throw new UsageError(`--model ${model} is no id, nor the name of a model that the org has used`);
}
