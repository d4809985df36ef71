import pg from 'pg'
import type { Statement } from './database.js'
import { type Parameter, parameterOf } from './parameters.js'
import { executeMessages, parseMessage } from './protocol.js'

interface Column {
  readonly name: string
  /** Undefined for text, which is taken as it comes. */
  readonly parse: ((text: string) => unknown) | undefined
}

/** What one connection has prepared, and what comes back for it; undefined until it was described. */
type Prepared = Map<string, readonly Column[] | undefined>

const prepared = new WeakMap<pg.Connection, Prepared>()

/** Answers of Postgres as pg's connection hands them on. */
interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[]
}

interface DataRow {
  readonly fields: readonly (string | null)[]
}

/**
 * One run of a prepared statement, handed to `Client.query` in place of pg's own query. It sends everything in one
 * piece without copying large parameters, and asks for a description of the columns once per connection, not each time.
 */
export class PreparedQuery<Row> implements pg.Submittable {
  /** pg looks at these two. */
  readonly name: string
  readonly text: string
  readonly rows: Promise<Row[]>
  readonly #parameters: readonly Parameter[]
  readonly #found: Row[] = []
  #columns: readonly Column[] | undefined
  #prepared: Prepared | undefined
  #failure: unknown
  #resolve!: (rows: Row[]) => void
  #reject!: (error: unknown) => void

  readonly #onParsed = (): void => {
    this.#prepared?.set(this.name, undefined)
  }

  /** @throws TypeError for a value that is none of Postgres's */
  constructor({ name, text }: Statement, values: readonly unknown[]) {
    this.name = name
    this.text = text
    this.#parameters = values.map(parameterOf)
    this.rows = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: pg.Connection): null {
    const { stream } = connection
    let known = prepared.get(connection)
    if (known === undefined) {
      known = new Map()
      prepared.set(connection, known)
    }
    // What has no name is forgotten as soon as the next such statement comes.
    if (this.name === '') known = new Map()
    this.#prepared = known
    this.#columns = known.get(this.name)
    const messages = executeMessages(this.name, this.#parameters, this.#columns !== undefined)
    if (!known.has(this.name)) {
      connection.once('parseComplete', this.#onParsed)
      messages.unshift(parseMessage(this.name, this.text))
    }
    if (messages.length === 1) {
      stream.write(messages[0])
    } else {
      stream.cork()
      for (const message of messages) stream.write(message)
      stream.uncork()
    }
    return null
  }

  handleRowDescription({ fields }: RowDescription): void {
    this.#columns = fields.map(({ name, dataTypeID }) => ({ name, parse: parserOf(dataTypeID) }))
    this.#prepared?.set(this.name, this.#columns)
  }

  handleDataRow({ fields }: DataRow): void {
    const columns = this.#columns
    if (columns === undefined || this.#failure !== undefined) return
    const row: Record<string, unknown> = {}
    try {
      for (let i = 0; i < columns.length; i++) {
        const { name, parse } = columns[i]!
        const text = fields[i]!
        row[name] = text === null || parse === undefined ? text : parse(text)
      }
    } catch (error) {
      this.#failure = error
    }
    this.#found.push(row as Row)
  }

  handleCommandComplete(): void {
    // Returns no rows, so there is nothing to describe.
    if (this.#columns === undefined) this.#prepared?.set(this.name, [])
  }

  handleReadyForQuery(): void {
    if (this.#failure === undefined) this.#resolve(this.#found)
    else this.#reject(this.#failure)
  }

  /** What Postgres says, what ends the connection, or what whoever waits has decided. */
  handleError(error: unknown, connection: pg.Connection): void {
    // Or it would hear of the next statement's.
    connection.off('parseComplete', this.#onParsed)
    this.#reject(error)
  }
}

const TEXT_TYPES = new Set([
  25 /* text */, 1043 /* varchar */, 19 /* name */, 2950 /* uuid */, 1700 /* numeric */
])
const BYTEA = 17
const INT8 = 20
const INT8_ARRAY = 1016

function parserOf(type: number): Column['parse'] {
  if (type === BYTEA) return parseBytea
  if (type === INT8) return parseInt8
  if (type === INT8_ARRAY) return parseInt8Array
  return TEXT_TYPES.has(type) ? undefined : pg.types.getTypeParser(type, 'text')
}

/** Hexadecimal behind `\x`, as Postgres writes it unless it is told otherwise. */
function parseBytea(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex')
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} from Postgres is beyond 2^53`)
  return value
}

/** Arrays of one dimension: `{1,NULL,3}`. */
function parseInt8Array(text: string): (number | null)[] {
  if (text === '{}') return []
  return text
    .slice(1, -1)
    .split(',')
    .map(item => (item === 'NULL' ? null : parseInt8(item)))
}
