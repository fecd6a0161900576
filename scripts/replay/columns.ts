/** What an event is made of, as a file may name it: the contract's fields. */
export const fieldNames = [
  'eventId',
  'orgId',
  'modelId',
  'actorId',
  'clientId',
  'occurredAt',
  'latencyMs',
  'status',
  'errorCode',
  'inputTokens',
  'outputTokens',
  'costEstimateCents',
  'inputCostCents',
  'outputCostCents',
  'metadata',
] as const;
export type FieldName = (typeof fieldNames)[number];

/** A row's values by field; what it does not have, or has empty, is absent. */
export type Fields = Partial<Record<FieldName, unknown>>;

/** A row cannot be replayed without them: nothing else says when it was, or how much. */
const required = ['occurredAt', 'inputTokens', 'outputTokens'] as const;

/** The columns of the Azure LLM inference traces. */
const azureNames = {
  TIMESTAMP: 'occurredAt',
  ContextTokens: 'inputTokens',
  GeneratedTokens: 'outputTokens',
} as const;

const ours = new Map<string, FieldName>(fieldNames.map((name) => [bare(name), name]));
const azures = new Map<string, FieldName>(
  Object.entries(azureNames).map(([name, field]) => [bare(name), field]),
);

/** `eventId`, `event_id`, `Event-ID` and `EVENT ID` are one name. */
function bare(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, '');
}

/**
 * The field that each column holds, null for those that mean nothing here. Our own name wins over
 * a trace's name for the same field.
 *
 * @throws Error when two columns would be the same field.
 */
export function fieldsOf(columns: readonly string[]): (FieldName | null)[] {
  const own = columns.map((column) => ours.get(bare(column)) ?? null);
  const fields = columns.map((column, index) => {
    const alias = azures.get(bare(column)) ?? null;
    return own[index] ?? (alias !== null && own.includes(alias) ? null : alias);
  });
  for (const [index, field] of fields.entries()) {
    const first = fields.indexOf(field);
    if (field !== null && first !== index) {
      throw new Error(`the columns ${columns[first]} and ${columns[index]} are both ${field}`);
    }
  }
  return fields;
}

/** What no column holds though every row needs it, in words; empty when nothing is missing. */
export function missingColumns(fields: readonly (FieldName | null)[]): string[] {
  const aliases = Object.entries(azureNames);
  return required
    .filter((name) => !fields.includes(name))
    .map((name) => `${name} (or ${aliases.find(([, field]) => field === name)?.[0]})`);
}
