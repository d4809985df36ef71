import { join } from 'node:path'
import { packagedBinaries, restoreSymlinks } from '../src/storage/embedded-postgres-binaries.js'
import type { BenchOptions } from './arguments.js'
import { type Arithmetic, type ArithmeticFigures, measureArithmetic } from './arithmetic.js'
import { BuiltNode, withFolder } from './built-node.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import {
  CONCURRENCY,
  type Figures,
  measureRound,
  medianFigures,
  openTarget,
  ROUND,
  warmUp
} from './measure.js'
import { type Memory, Meter } from './meter.js'
import type { OperationName } from './operations.js'
import { figure, mebibytes, table } from './report.js'
import { median } from './statistics.js'

export interface StandardResult {
  readonly machine: Machine
  readonly arithmetic: Arithmetic
  readonly operations: Partial<Record<OperationName, Figures>>
  /** From the start of the process to ready, ms; undefined where the node ran already. */
  readonly start: { readonly empty: number; readonly later: number } | undefined
  readonly memory: Memory | undefined
}

const ROUNDS = 3

/** Every operation against one node, in rounds, so that what else the machine does falls on all of them alike. */
export async function runStandard(
  options: BenchOptions,
  say: (text: string) => void
): Promise<StandardResult> {
  return withFolder(options.directory, async folder => {
    const rounds = options.quick ? 1 : ROUNDS
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    if (options.url !== undefined) {
      const meter = Meter.of([options.pid])
      return { machine, start: undefined, ...(await measureNode(options.url, meter, options, rounds)) }
    }
    const { node, start } = await startNodes(folder, options.databaseUrl, rounds)
    try {
      const measured = await measureNode(node.url, Meter.of([node.pid]), options, rounds)
      return { machine, start, ...measured }
    } finally {
      await node.stop()
    }
  })
}

export async function databaseOf({ url, databaseUrl }: BenchOptions): Promise<{ program: string } | string> {
  if (url !== undefined) return 'a node that ran already'
  if (databaseUrl !== undefined) return 'the Postgres of --database'
  const binaries = packagedBinaries()
  // Before the first start of a node they are missing, and the program finds none of its libraries.
  await restoreSymlinks(binaries)
  return { program: binaries.postgres }
}

/** Starts with an empty folder, and again with what that has left, as often as there are rounds; the last one stays. */
async function startNodes(folder: string, databaseUrl: string | undefined, rounds: number) {
  const empty: number[] = []
  const later: number[] = []
  for (let round = 1; ; round++) {
    const dataDirectory = join(folder, databaseUrl === undefined ? `node-${round}` : 'node')
    const first = await BuiltNode.start({ dataDirectory, databaseUrl })
    await first.stop()
    empty.push(first.startMilliseconds)
    const node = await BuiltNode.start({ dataDirectory, databaseUrl })
    later.push(node.startMilliseconds)
    if (round === rounds) return { node, start: { empty: median(empty), later: median(later) } }
    await node.stop()
  }
}

async function measureNode(url: string, meter: Meter | undefined, options: BenchOptions, rounds: number) {
  const names = options.operations
  const countOf = (name: OperationName): number => (options.quick ? Math.ceil(ROUND[name] / 10) : ROUND[name])
  const target = await openTarget(url)
  try {
    await warmUp(names, target, countOf)
    const figures = new Map<OperationName, Figures[]>(names.map(name => [name, []]))
    const arithmetic: Arithmetic[] = []
    for (let round = 0; round < rounds; round++) {
      for (const name of names) {
        figures.get(name)!.push(await measureRound(name, target, countOf(name), meter))
      }
      arithmetic.push(await measureArithmetic())
    }
    const medians = [...figures].map(([name, measured]) => [name, medianFigures(measured)])
    return {
      operations: Object.fromEntries(medians) as StandardResult['operations'],
      arithmetic: { sdk: medianArithmetic(arithmetic, 'sdk'), ours: medianArithmetic(arithmetic, 'ours') },
      memory: meter?.memory()
    }
  } finally {
    await target.connections.close()
  }
}

function medianArithmetic(rounds: readonly Arithmetic[], whose: keyof Arithmetic): ArithmeticFigures {
  const of = (name: keyof ArithmeticFigures): number => median(rounds.map(round => round[whose][name]))
  return { sign: of('sign'), verify: of('verify'), derive: of('derive'), request: of('request') }
}

export function standardText({ arithmetic, operations, start, memory }: StandardResult): string {
  const { sdk, ours } = arithmetic
  const operationRows = Object.entries(operations).map(([name, figures]) => [
    name,
    figure(figures.perSecond),
    figure(figures.p50),
    figure(figures.p99),
    figure(figures.nodeCpu),
    figure(figures.postgresCpu),
    figure(figures.perSecond / sdk.request)
  ])
  const arithmeticRows = (['sign', 'verify', 'derive', 'request'] as const).map(name => [
    name,
    figure(sdk[name]),
    figure(ours[name]),
    figure(ours[name] / sdk[name])
  ])
  const parts = [
    table(
      ['operation', 'per s', 'p50 ms', 'p99 ms', 'node CPU ms', 'Postgres CPU ms', 'x SDK'],
      operationRows
    ),
    `${CONCURRENCY} requests at a time. CPU is per request. "x SDK": how many of them are done in the time in which one core
does the arithmetic of one request with @bsv/sdk; compare machines by this.`,
    table(['arithmetic, one core', 'SDK per s', 'ours per s', 'ratio'], arithmeticRows)
  ]
  if (start !== undefined) {
    parts.push(
      `Start to ready: ${figure(start.empty / 1000)} s with an empty DATA_DIR, ${figure(start.later / 1000)} s later.`
    )
  }
  if (memory !== undefined) {
    parts.push(
      `Memory at the end: node ${mebibytes(memory.node)} MiB, Postgres ${mebibytes(memory.postgres)} MiB.`
    )
  }
  return parts.join('\n\n')
}
