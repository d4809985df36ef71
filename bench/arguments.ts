import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { BenchError } from './bench-error.js'
import { OPERATION_NAMES, type OperationName } from './operations.js'

export type Mode = 'standard' | 'mesh' | 'growth' | 'profile' | 'memory' | 'pauses' | 'hostile' | 'sockets'

export interface BenchOptions {
  readonly mode: Mode
  /** A tenth of the requests, one round. */
  readonly quick: boolean
  readonly operations: readonly OperationName[]
  /** A node that runs already; nothing is started then. */
  readonly url: string | undefined
  /** Of that node, for its CPU and memory. */
  readonly pid: number | undefined
  /** Postgres for the node instead of its own. */
  readonly databaseUrl: string | undefined
  /** Messages that growth loads; a tenth as many boxes, and as many tokens. */
  readonly rows: number
  /** That are held at once. */
  readonly sockets: number
  /** Where data folders are made, absolute. */
  readonly directory: string
}

export const USAGE = `npm run bench -- [mode] [options]

Modes (default: every operation against one node, one minute)
  --mesh             two nodes: latency and throughput of messages that pass from one to the other
  --growth           a node with many rows against an empty one
  --memory           memory of the node after 10,000 and after 100,000 sends
  --pauses           for how long one large request holds up all others
  --hostile          honest users beside drips, floods and bombs; what is left of those in memory
  --sockets          idle live clients: how long connecting takes, what each costs in memory
  --profile          writes CPU profiles of the node and says where its time goes

Options
  --quick            a tenth of the work, one round: does it run at all?
  --only <a,b>       these operations: ${OPERATION_NAMES.join(', ')}
  --rows <n>         messages to load for --growth (default 200000; a tenth as many boxes and tokens)
  --count <n>        live clients for --sockets (default 10000)
  --url <url>        measure a node that runs already
  --pid <n>          its process, to read its CPU and memory
  --database <url>   give the node this empty Postgres instead of its own
  --directory <dir>  where data folders are made (default: the temp folder); the disk matters
`

const OPTIONS = {
  mesh: { type: 'boolean' },
  growth: { type: 'boolean' },
  memory: { type: 'boolean' },
  pauses: { type: 'boolean' },
  hostile: { type: 'boolean' },
  sockets: { type: 'boolean' },
  profile: { type: 'boolean' },
  quick: { type: 'boolean' },
  only: { type: 'string' },
  rows: { type: 'string' },
  count: { type: 'string' },
  url: { type: 'string' },
  pid: { type: 'string' },
  database: { type: 'string' },
  directory: { type: 'string' },
  help: { type: 'boolean', short: 'h' }
} as const

/** @throws BenchError with one sentence; its text is the usage where that was asked for */
export function parseBenchArguments(args: readonly string[]): BenchOptions {
  const values = readOptions(args)
  if (values.help) throw new BenchError(USAGE)
  const modes = (['mesh', 'growth', 'memory', 'pauses', 'hostile', 'sockets', 'profile'] as const).filter(
    mode => values[mode]
  )
  if (modes.length > 1) throw new BenchError(`--${modes.join(' and --')} are different runs.`)
  const mode = modes[0] ?? 'standard'
  if (values.url !== undefined && mode !== 'standard')
    throw new BenchError(`--url does not go with --${mode}.`)
  if (values.url !== undefined && !URL.canParse(values.url)) throw new BenchError('--url is not a URL.')
  return {
    mode,
    quick: values.quick ?? false,
    operations: parseOperations(values.only),
    url: values.url,
    pid: values.pid === undefined ? undefined : parseNumber('pid', values.pid, 2, 2 ** 22),
    databaseUrl: values.database,
    rows: parseNumber('rows', values.rows ?? '200000', 1_000, 100_000_000),
    sockets: parseNumber('count', values.count ?? (values.quick ? '1000' : '10000'), 1, 15_000),
    directory: resolve(values.directory ?? tmpdir())
  }
}

function readOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values
  } catch (error) {
    throw new BenchError(`${error instanceof Error ? error.message : error}\n\n${USAGE}`)
  }
}

function parseOperations(text: string | undefined): readonly OperationName[] {
  if (text === undefined) return OPERATION_NAMES
  return text.split(',').map(name => {
    const operation = OPERATION_NAMES.find(known => known === name)
    if (operation === undefined) throw new BenchError(`--only knows ${OPERATION_NAMES.join(', ')}.`)
    return operation
  })
}

function parseNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new BenchError(`--${name} is a whole number from ${least} to ${most}.`)
}
