/** The exports that are judged. */
export const focusFiles = ['usual', 'monthly', 'unnamed', 'failures', 'letters', 'empty'] as const;
export type FocusFile = (typeof focusFiles)[number];

/**
 * What the judges have against our FOCUS files that is their own, or a later version's, fault. What
 * is not listed here is a fault of ours, and what is listed and not said any more is to be removed.
 */
export interface KnownComplaint {
  /** A rule's id, or a kind of fault with its column. */
  complaint: string;
  files: readonly FocusFile[];
  reason: string;
}

const withRows = focusFiles.filter((file) => file !== 'empty');
const wholeNumbers =
  'a column of whole numbers alone is read as BIGINT, which is held for no number: NumericFormat allows integers';
const noStatus =
  'the rule asks for CommitmentDiscountStatus, a column for those who give such discounts, and fails without it';
const ascii = 'StringHandling asks for no such thing: a name may be in any letters';
const noRows = '"one of these values" fails where there are no values at all';

/** Of focus-validator, by the rules of FOCUS 1.2. */
export const validatorComplaints: readonly KnownComplaint[] = [
  {
    complaint: 'InvoiceId-C-005-C',
    files: withRows,
    reason:
      'FOCUS asks for an id where there is an invoice; the rule forgot its condition, and nothing is invoiced here',
  },
  { complaint: 'ConsumedQuantity-C-001-M', files: withRows, reason: wholeNumbers },
  {
    complaint: 'PricingQuantity-C-001-M',
    files: ['unnamed', 'failures', 'letters'],
    reason: wholeNumbers,
  },
  ...['BilledCost', 'ContractedCost', 'EffectiveCost', 'ListCost'].map(
    (column): KnownComplaint => ({
      complaint: `${column}-C-001-M`,
      files: ['failures'],
      reason: wholeNumbers,
    }),
  ),
  { complaint: 'ConsumedQuantity-C-004-C', files: focusFiles, reason: noStatus },
  { complaint: 'ConsumedQuantity-C-006-C', files: focusFiles, reason: noStatus },
  ...['BillingAccountName', 'SubAccountId', 'SubAccountName'].map(
    (column): KnownComplaint => ({
      complaint: `${column}-C-002-M`,
      files: ['letters'],
      reason: ascii,
    }),
  ),
  ...[
    'ChargeCategory-C-003-M',
    'ChargeFrequency-C-003-M',
    'ServiceCategory-C-003-M',
    'ServiceSubcategory-C-003-M',
    'ServiceSubcategory-C-004-M',
  ].map((complaint): KnownComplaint => ({ complaint, files: ['empty'], reason: noRows })),
];

/** Of focus-data-toolkit, by the rules of FOCUS 1.4. */
export const conversionComplaints: readonly KnownComplaint[] = [
  {
    complaint: 'null_not_allowed BillingAccountType',
    files: withRows,
    reason: 'FOCUS 1.4 asks it of everybody, 1.2 of those who have more than one type',
  },
  {
    complaint: 'no Cost and Usage rows to convert',
    files: ['empty'],
    reason: 'a period without use has none',
  },
];

/** What is known to be said of a file. */
export function knownOf(file: FocusFile, known: readonly KnownComplaint[]): string[] {
  return known
    .filter(({ files }) => files.includes(file))
    .map(({ complaint }) => complaint)
    .sort();
}
