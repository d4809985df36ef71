import { readdirSync, readFileSync } from 'node:fs'

/** CPU while something was measured, ms; the database's apart. */
export interface Usage {
  readonly node: number
  readonly postgres: number
}

/** Memory, bytes. */
export interface Memory {
  /** Resident, of all processes of the node. */
  readonly node: number
  /** Proportional: what its processes share is counted once. */
  readonly postgres: number
}

/** Linux counts CPU in this unit for user space, whatever the kernel's own clock (sysconf CLK_TCK). */
const TICK_MILLISECONDS = 10
const POSTGRES = 'postgres'

interface Process {
  readonly name: string
  readonly parent: number
  /** CPU of it and of what it waited for, ms. */
  readonly cpu: number
  readonly ownCpu: number
}

/** Reads from /proc what the processes of a node use: everything below one process. Linux only. */
export class Meter {
  readonly #roots: readonly number[]
  #begin: Usage = { node: 0, postgres: 0 }

  /** @param roots processes whose children count too: the node, and a Postgres that it did not start itself */
  constructor(roots: readonly number[]) {
    this.#roots = roots
  }

  /** Undefined where there is no /proc. */
  static of(roots: readonly (number | undefined)[]): Meter | undefined {
    const known = roots.filter(root => root !== undefined)
    return known.length > 0 && readProcess(known[0]!) !== undefined ? new Meter(known) : undefined
  }

  start(): void {
    this.#begin = this.#read()
  }

  stop(): Usage {
    const { node, postgres } = this.#read()
    return { node: node - this.#begin.node, postgres: postgres - this.#begin.postgres }
  }

  memory(): Memory {
    let node = 0
    let postgres = 0
    for (const [pid, { name }] of this.#processes()) {
      if (name === POSTGRES) postgres += kilobytes(`/proc/${pid}/smaps_rollup`, 'Pss') * 1024
      else node += kilobytes(`/proc/${pid}/status`, 'VmRSS') * 1024
    }
    return { node, postgres }
  }

  #read(): Usage {
    let node = 0
    let postgres = 0
    for (const { name, cpu, ownCpu } of this.#processes().values()) {
      // A connection of Postgres that ended meanwhile is found with the process that had started it.
      if (name === POSTGRES) postgres += cpu
      else node += ownCpu
    }
    return { node, postgres }
  }

  #processes(): Map<number, Process> {
    const all = new Map<number, Process>()
    for (const entry of readdirSync('/proc')) {
      const found = /^\d+$/.test(entry) ? readProcess(Number(entry)) : undefined
      if (found !== undefined) all.set(Number(entry), found)
    }
    const isBelow = (pid: number): boolean => {
      if (this.#roots.includes(pid)) return true
      const parent = all.get(pid)?.parent
      return parent !== undefined && parent > 1 && isBelow(parent)
    }
    return new Map([...all].filter(([pid]) => isBelow(pid)))
  }
}

function readProcess(pid: number): Process | undefined {
  const text = readText(`/proc/${pid}/stat`)
  // The name is in parentheses and may hold any character.
  const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(text) ?? []
  if (name === undefined || rest === undefined) return undefined
  const field = (number: number): number => Number(rest.split(' ')[number - 3])
  const ownCpu = (field(14) + field(15)) * TICK_MILLISECONDS
  return { name, parent: field(4), ownCpu, cpu: ownCpu + (field(16) + field(17)) * TICK_MILLISECONDS }
}

function kilobytes(path: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readText(path))?.[1] ?? 0)
}

/** Empty for what is not there, as a process that has just ended. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
