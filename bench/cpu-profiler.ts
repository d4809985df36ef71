import { once } from 'node:events'
import { WebSocket } from 'undici'
import { BenchError } from './bench-error.js'

/** One function in one place of the call tree (Chrome's .cpuprofile format). */
export interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  /** Ids of the nodes that were running, one per sample. */
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

const SAMPLE_MICROSECONDS = 200

/** The CPU profiler of another process that runs with --inspect. */
export class CpuProfiler {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (message: { result?: unknown; error?: { message: string } }) => void>()
  #lastId = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data))
      this.#waiting.get(message.id)?.(message)
      this.#waiting.delete(message.id)
    })
  }

  /** @param log what the process wrote to standard error, with the address of its inspector */
  static async connect(log: string): Promise<CpuProfiler> {
    const url = /ws:\/\/127\.0\.0\.1:\d+\/[\w-]+/.exec(log)?.[0]
    if (url === undefined) throw new BenchError('The node does not say where its inspector listens.')
    const socket = new WebSocket(url)
    await once(socket, 'open')
    const profiler = new CpuProfiler(socket)
    await profiler.#call('Profiler.enable')
    await profiler.#call('Profiler.setSamplingInterval', { interval: SAMPLE_MICROSECONDS })
    return profiler
  }

  async start(): Promise<void> {
    await this.#call('Profiler.start')
  }

  async stop(): Promise<CpuProfile> {
    const { profile } = (await this.#call('Profiler.stop')) as { profile: CpuProfile }
    return profile
  }

  close(): void {
    this.#socket.close()
  }

  #call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result)
        else reject(new BenchError(`${method}: ${error.message}`))
      })
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }
}
