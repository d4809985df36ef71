/** Work that is asked for often: one run at a time, and one more after it if somebody asked meanwhile. */
export class Coalesced {
  readonly #work: () => Promise<void>
  #running: Promise<void> | undefined
  #isAskedAgain = false

  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Resolves when a run that began after this call has ended; rejects as the work does. */
  run(): Promise<void> {
    this.#isAskedAgain = true
    this.#running ??= this.#runAll().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Resolves when nothing runs, however it ended. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => {})
  }

  async #runAll(): Promise<void> {
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false
      await this.#work()
    }
  }
}
