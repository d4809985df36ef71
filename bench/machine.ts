import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { VERSION } from '../src/version.js'
import { median } from './statistics.js'

/** What the figures were measured on. */
export interface Machine {
  readonly version: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly node: string
  readonly postgres: string
  /** Median of a write of 8 KiB to the data folder's disk, ms: no commit is faster. */
  readonly syncMilliseconds: number
  /** Processes that wanted to run in the minute before. */
  readonly load: number
}

const SYNCS = 50

/** @param postgres the program, or what is known of a Postgres elsewhere */
export function describeMachine(directory: string, postgres: { program: string } | string): Machine {
  return {
    version: VERSION,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    postgres: typeof postgres === 'string' ? postgres : versionOf(postgres.program),
    syncMilliseconds: measureSync(directory),
    load: loadavg()[0]!
  }
}

export function machineText(machine: Machine): string {
  const { version, cpu, cores, memoryGiB, node, postgres, syncMilliseconds, load } = machine
  const lines = [
    `peerserv ${version}, Node ${node}, ${postgres}`,
    `${cpu}, ${cores} cores, ${memoryGiB} GiB; a synced write takes ${syncMilliseconds.toFixed(2)} ms`
  ]
  if (load > cores / 4) {
    lines.push(
      `Load before the run: ${load.toFixed(2)}. Others use this machine, so these figures are too low.`
    )
  }
  return lines.join('\n')
}

function versionOf(program: string): string {
  try {
    const told = execFileSync(program, ['--version'], { encoding: 'utf8' })
    return `Postgres ${/\d+(?:\.\d+)*/.exec(told)?.[0] ?? 'of unknown version'}`
  } catch {
    return 'Postgres of unknown version'
  }
}

function measureSync(directory: string): number {
  const path = join(directory, `sync-${randomBytes(4).toString('hex')}`)
  const file = openSync(path, 'w', 0o600)
  try {
    const block = randomBytes(8192)
    const times = Array.from({ length: SYNCS }, () => {
      const begin = performance.now()
      writeSync(file, block)
      fdatasyncSync(file)
      return performance.now() - begin
    })
    return median(times)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}
