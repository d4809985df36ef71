/** Where processes that share their rates add up what each has taken. */
export interface RateStore {
  /**
   * Adds to a count; a count ends by itself some time after the minute that its key names. Settles in the end: until then
   * a question that hangs occupies one of few places (lender.ts).
   *
   * @param count a whole number above 0
   * @returns the sum of all processes, this addition included; rejects while the store is away
   */
  add(key: string, count: number): Promise<number>
  close(): Promise<void>
}
