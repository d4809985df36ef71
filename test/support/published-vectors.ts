import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { TestUser } from './client.js'

/** One published conformance vector: a call over HTTP, or a message over a socket, and what must come back. */
export interface PublishedVector {
  readonly id: string
  readonly description: string
  readonly input: {
    readonly method?: string
    readonly path?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: unknown
    /** Of a socket: the message. */
    readonly payload?: Readonly<Record<string, unknown>>
    /** Of a socket: an event inside a message. */
    readonly envelope?: { readonly eventName: string; readonly data: unknown }
    readonly required_fields?: readonly string[]
    readonly valid_types?: readonly string[]
  }
  readonly expected: Readonly<Record<string, unknown>>
}

const FOLDER = new URL('../vectors/published/ts-stack/', import.meta.url)

/** The vectors of one file, in their order. */
export function publishedVectors(file: string): PublishedVector[] {
  const { vectors } = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as {
    vectors: PublishedVector[]
  }
  return vectors
}

/**
 * The people of a vector. The private keys behind most published identity keys are not known, so each vector is run with
 * people of its own, and the keys in it are replaced by theirs; nothing else is.
 */
export class Cast {
  readonly #users = new Map<string, TestUser>()
  readonly #seed: string

  constructor(seed: string) {
    this.#seed = seed
  }

  user(publishedKey: string): TestUser {
    const known = this.#users.get(publishedKey)
    if (known !== undefined) return known
    const user = new TestUser(`${this.#seed} ${publishedKey}`)
    this.#users.set(publishedKey, user)
    return user
  }

  /** The vector with this cast's identity keys. */
  play(vector: PublishedVector): PublishedVector {
    const text = JSON.stringify(vector).replaceAll(
      /\b0[23][0-9a-f]{64}\b/g,
      key => this.user(key).identityKey
    )
    return JSON.parse(text) as PublishedVector
  }
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Everything expected is in the answer; more may be. Times need only be times. */
export function expectContained(answer: unknown, expected: unknown, path = 'body'): void {
  if (typeof expected === 'string' && TIME.test(expected)) {
    expect(answer, path).to.match(TIME)
  } else if (Array.isArray(expected)) {
    expect(answer, path).to.be.an('array').with.length(expected.length)
    expected.forEach((item, i) => {
      expectContained((answer as unknown[])[i], item, `${path}[${i}]`)
    })
  } else if (typeof expected === 'object' && expected !== null) {
    expect(answer, path).to.be.an('object')
    for (const [name, value] of Object.entries(expected)) {
      expectContained((answer as Record<string, unknown>)[name], value, `${path}.${name}`)
    }
  } else expect(answer, path).to.equal(expected)
}
