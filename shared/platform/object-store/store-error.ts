/** What is wrong with a store, told apart by what a person has to do about it. */
export type StoreFault = 'permission' | 'credentials' | 'missing_bucket' | 'unreachable' | 'other';

/**
 * The object store did not do what was asked. The message says what happened and what helps; no
 * secret is in it.
 */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly fault: StoreFault;

  constructor(fault: StoreFault, message: string, cause?: unknown) {
    super(message, { cause });
    this.fault = fault;
  }
}
