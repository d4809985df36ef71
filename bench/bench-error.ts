/** What was asked for cannot be done, or was not done as it must be: for the person, without a stack. */
export class BenchError extends Error {}
