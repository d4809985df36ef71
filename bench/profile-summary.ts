import type { CpuProfile, ProfileNode } from './cpu-profiler.js'

/** What took how much of the time in which the node was not idle, largest first. */
export interface Share {
  readonly name: string
  /** 0 to 1 */
  readonly part: number
}

export interface ProfileSummary {
  /** Of the profiled time. */
  readonly busySeconds: number
  /** By package, file of the node, or part of Node; native functions count for who called them. */
  readonly parts: readonly Share[]
  readonly functions: readonly Share[]
}

const IDLE = '(idle)'

/** Where the time went, by the functions that were running (not by those that waited for them). */
export function summarizeProfile(profile: CpuProfile): ProfileSummary {
  const microseconds = new Map<number, number>()
  profile.samples.forEach((id, i) => {
    microseconds.set(id, (microseconds.get(id) ?? 0) + (profile.timeDeltas[i] ?? 0))
  })
  const parts = new Map<string, number>()
  const functions = new Map<string, number>()
  let busy = 0
  const add = (sums: Map<string, number>, name: string, time: number): void => {
    sums.set(name, (sums.get(name) ?? 0) + time)
  }
  const callers = callersOf(profile.nodes)
  for (const node of profile.nodes) {
    const time = microseconds.get(node.id) ?? 0
    if (time === 0 || node.callFrame.functionName === IDLE) continue
    busy += time
    const part = partOf(node, callers)
    add(parts, part, time)
    add(functions, `${node.callFrame.functionName || '(anonymous)'}  ${part}`, time)
  }
  return { busySeconds: busy / 1e6, parts: shares(parts, busy), functions: shares(functions, busy) }
}

function callersOf(nodes: readonly ProfileNode[]): Map<number, ProfileNode> {
  const callers = new Map<number, ProfileNode>()
  for (const node of nodes) for (const child of node.children ?? []) callers.set(child, node)
  return callers
}

function partOf(node: ProfileNode, callers: ReadonlyMap<number, ProfileNode>): string {
  for (let at: ProfileNode | undefined = node; at !== undefined; at = callers.get(at.id)) {
    const { url, functionName } = at.callFrame
    if (url !== '') return partOfUrl(url)
    // Of V8 itself: (garbage collector), (program).
    if (at === node && functionName.startsWith('(')) return functionName
  }
  return 'native'
}

function partOfUrl(url: string): string {
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (inPackage !== undefined) return inPackage
  return /\/dist\/(.*)\.js$/.exec(url)?.[1] ?? url
}

function shares(sums: ReadonlyMap<string, number>, total: number): Share[] {
  return [...sums].map(([name, time]) => ({ name, part: time / total })).sort((a, b) => b.part - a.part)
}
