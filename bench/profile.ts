import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { BenchOptions } from './arguments.js'
import { BuiltNode, withFolder } from './built-node.js'
import { CpuProfiler } from './cpu-profiler.js'
import { describeMachine, type Machine, machineText } from './machine.js'
import { openTarget, ROUND, warmUp } from './measure.js'
import { type OperationName, prepareOperation } from './operations.js'
import { type ProfileSummary, summarizeProfile } from './profile-summary.js'
import { figure, table } from './report.js'
import { databaseOf } from './standard.js'

export interface ProfiledOperation {
  readonly name: OperationName
  readonly requests: number
  /** For Chrome's developer tools or VS Code. */
  readonly file: string
  readonly summary: ProfileSummary
}

export interface ProfileResult {
  readonly machine: Machine
  readonly operations: readonly ProfiledOperation[]
}

const SHOWN = 22
const LONGEST = 20_000

/** Where the node's own time goes, operation by operation. The profiler slows it down, so no rates are told. */
export async function runProfile(options: BenchOptions, say: (text: string) => void): Promise<ProfileResult> {
  return withFolder(options.directory, async folder => {
    const machine = describeMachine(folder, await databaseOf(options))
    say(`${machineText(machine)}\n`)
    const node = await BuiltNode.start({
      dataDirectory: join(folder, 'node'),
      databaseUrl: options.databaseUrl,
      execArguments: ['--inspect=127.0.0.1:0']
    })
    try {
      return { machine, operations: await profileAll(node, options) }
    } finally {
      await node.stop()
    }
  })
}

async function profileAll(
  node: BuiltNode,
  { operations, quick }: BenchOptions
): Promise<ProfiledOperation[]> {
  const countOf = (name: OperationName): number => (quick ? Math.ceil(ROUND[name] / 10) : ROUND[name])
  const target = await openTarget(node.url)
  const profiler = await CpuProfiler.connect(node.log())
  try {
    await warmUp(operations, target, countOf)
    const profiled: ProfiledOperation[] = []
    for (const name of operations) {
      const prepared = await prepareOperation(name, target, countOf(name))
      await profiler.start()
      const volley = await prepared.fire({
        samples: 10,
        longest: LONGEST,
        meter: undefined,
        // What verifies the volley is no part of it.
        afterwards: async () => {
          const profile = await profiler.stop()
          const file = resolve(`bench-${name}.cpuprofile`)
          writeFileSync(file, JSON.stringify(profile))
          profiled.push({ name, requests: 0, file, summary: summarizeProfile(profile) })
        }
      })
      profiled.push({ ...profiled.pop()!, requests: volley.fired })
    }
    return profiled
  } finally {
    profiler.close()
    await target.connections.close()
  }
}

export function profileText({ operations }: ProfileResult): string {
  return operations
    .map(({ name, requests, file, summary }) => {
      const milliseconds = (summary.busySeconds * 1000) / requests
      const rowsOf = (shares: ProfileSummary['parts']): string[][] =>
        shares
          .slice(0, SHOWN)
          .map(share => [
            share.name,
            `${figure(share.part * 100)} %`,
            `${figure(share.part * milliseconds * 1000)}`
          ])
      return [
        `${name}: ${figure(milliseconds)} ms of the main thread per request (${requests} requests, profiler running); ${file}`,
        table(['part', 'of busy time', 'us per request'], rowsOf(summary.parts)),
        table(['function', 'of busy time', 'us per request'], rowsOf(summary.functions))
      ].join('\n\n')
    })
    .join('\n\n\n')
}
