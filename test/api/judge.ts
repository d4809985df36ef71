import { expect } from 'chai'
import type { RawAnswer } from '../support/client.js'

/** One request and what is wrong with its answer. */
export interface Case {
  readonly label: string
  readonly send: () => Promise<RawAnswer>
  /** Undefined for a right one. */
  readonly judge: (answer: RawAnswer) => string | undefined
}

/** No answer after this long, ms, is a hang. */
const PATIENCE = 10_000
const AT_ONCE = 8
/** Answered to bodies that were not read, or before the caller is known: under no signature. */
const UNSIGNED = [401, 408, 413, 415]

/** Judges answers to bad requests of one node, and what it has stored of them. */
export class Judge {
  /** What was refused so far, as `ERR_… 400`. */
  readonly seen = new Set<string>()
  readonly #query: <Row>(text: string) => Promise<Row[]>

  /** @param query in the node's database */
  constructor(query: <Row>(text: string) => Promise<Row[]>) {
    this.#query = query
  }

  /**
   * Sends all of them; fails with every wrong answer at once, and if anything was stored.
   *
   * @param stores they are right after all, and may leave something behind
   */
  async all(cases: readonly Case[], stores = false): Promise<void> {
    const before = await this.#rows()
    const wrong: string[] = []
    const next = cases.values()
    const work = async () => {
      for (const { label, send, judge } of next) {
        const fault = await answered(send).then(judge, (error: unknown) => String(error))
        if (fault !== undefined) wrong.push(`${label}: ${fault}`)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    expect(wrong.join('\n')).to.equal('')
    if (!stores) expect(await this.#rows()).to.deep.equal(before)
  }

  /** Right is a 4xx, of these statuses if there are any, with the error envelope. */
  refused(...statuses: readonly number[]): Case['judge'] {
    return answer => {
      const { status, body, headers } = answer
      const told = `${status} ${body.subarray(0, 200)}`
      if (status < 400 || status > 499) return told
      if (statuses.length > 0 && !statuses.includes(status)) return told
      if (headers['content-type'] !== 'application/json') return `${headers['content-type']}`
      const json = JSON.parse(body.toString()) as Record<string, unknown>
      // The stock middleware's own code has no prefix, and its clients know it.
      const hasCode = typeof json.code === 'string' && /^(ERR_[A-Z0-9_]+|UNAUTHORIZED)$/.test(json.code)
      if (json.status !== 'error' || !hasCode) return told
      if (typeof json.description !== 'string' || json.description === '') return `no description: ${told}`
      if ('signature' in answer && !UNSIGNED.includes(status) && answer.signature !== 'valid') {
        return `unsigned: ${told}`
      }
      this.seen.add(`${json.code} ${status}`)
      return undefined
    }
  }

  /** Rows of every table but the memory of requests seen, and what is counted of them in rates. */
  async #rows(): Promise<Record<string, number>> {
    const tables = await this.#query<{ name: string }>(
      `select table_name as name from information_schema.tables
       where table_schema = 'public' and table_type = 'BASE TABLE' and table_name not like 'seen_requests%'
         and table_name <> 'rate_limits'`
    )
    const counts = tables.map(({ name }) => `select '${name}' as name, count(*) as n from ${name}`)
    const found = await this.#query<{ name: string; n: number }>(counts.join(' union all '))
    return Object.fromEntries(found.map(({ name, n }) => [name, n]))
  }
}

/** Right is a 200. */
export function taken({ status, body }: RawAnswer): string | undefined {
  return status === 200 ? undefined : `${status} ${body.subarray(0, 200)}`
}

async function answered(send: () => Promise<RawAnswer>): Promise<RawAnswer> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), PATIENCE)
  })
  try {
    return await Promise.race([send(), late])
  } finally {
    clearTimeout(timer)
  }
}
