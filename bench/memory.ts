import { join } from 'node:path'
import type { BenchOptions } from './arguments.js'
import { BenchError } from './bench-error.js'
import { BuiltNode, withFolder } from './built-node.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { measureRound, openTarget } from './measure.js'
import { type Memory, Meter } from './meter.js'
import { figure, mebibytes, table } from './report.js'
import { databaseOf } from './standard.js'

export interface MemoryResult {
  readonly machine: Machine
  readonly steps: readonly MemoryStep[]
  /** The node's after the last step, by that after the first. */
  readonly growth: number
}

interface MemoryStep extends Memory {
  /** In all. */
  readonly sends: number
}

const STEPS = [10_000, 30_000, 100_000]
const SENDS_AT_ONCE = 2_000

/** Whether the node's memory grows with what it has done. */
export async function runMemory(options: BenchOptions, say: (text: string) => void): Promise<MemoryResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const node = await BuiltNode.start({
      dataDirectory: join(folder, 'node'),
      databaseUrl: options.databaseUrl
    })
    try {
      const meter = Meter.of([node.pid])
      if (meter === undefined) throw new BenchError('Memory can be read on Linux only.')
      const target = await openTarget(node.url)
      const steps: MemoryStep[] = []
      let sends = 0
      for (const step of options.quick ? STEPS.map(count => count / 10) : STEPS) {
        for (; sends < step; sends += SENDS_AT_ONCE) {
          await measureRound('send', target, Math.min(SENDS_AT_ONCE, step - sends), undefined)
        }
        sends = step
        steps.push({ sends, ...meter.memory() })
      }
      await target.connections.close()
      return { machine, steps, growth: steps.at(-1)!.node / steps[0]!.node }
    } finally {
      await node.stop()
    }
  })
}

export function memoryText({ steps, growth }: MemoryResult): string {
  const rows = steps.map(({ sends, node, postgres }) => [
    sends.toLocaleString('en'),
    mebibytes(node),
    mebibytes(postgres)
  ])
  return [
    table(['sends', 'node MiB', 'Postgres MiB'], rows),
    `The node's memory after the last is ${figure(growth)} times that after the first.`
  ].join('\n\n')
}
