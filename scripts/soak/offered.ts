import * as z from 'zod';

/** How many events the clock asked for, how many were sent, and how many the broker has confirmed. */
export const offeredForm = z.object({ due: z.int(), sent: z.int(), confirmed: z.int() });
export type Offered = z.output<typeof offeredForm>;
