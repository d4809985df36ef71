import { setImmediate as turn } from 'node:timers/promises'
import type { Queryable, Statement } from '../../src/storage/database.js'

/**
 * Statements of one transaction, one after the other, for callers that start several at once and do not wait for all
 * of them, as @bsv/overlay does: it neither awaits its spends nor passes their failures on.
 */
export class SerialQueryable implements Queryable {
  readonly #inner: Queryable
  #last: Promise<unknown> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined

  constructor(inner: Queryable) {
    this.#inner = inner
  }

  query<Row>(statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    const answer = this.#last.then(() => this.#inner.query<Row>(statement, values))
    this.#last = answer.catch((error: unknown) => {
      this.#failure ??= { error }
    })
    return answer
  }

  /**
   * Resolves when nothing runs any more and what ran has started nothing new.
   *
   * @throws the first failure of any statement, whoever has seen it
   */
  async settled(): Promise<void> {
    let last: Promise<unknown> | undefined
    while (last !== this.#last) {
      last = this.#last
      await last
      // Whoever waited for that statement goes on in microtasks, and all of them run before this turn.
      await turn()
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
