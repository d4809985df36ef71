import { Socket } from 'node:net'
import { type Connector, connectDirectly } from '../../federation/channel/dial.js'

/** The network between nodes of one test, which can be cut between any two of them. */
export class TestNetwork {
  readonly #cut = new Set<string>()
  readonly #open = new Map<string, Set<Socket>>()

  /** For the door outward of the node at this port. */
  connectorOf(own: number): Connector {
    return target => {
      const line = lineOf(own, target.port)
      if (this.#cut.has(line)) {
        const socket = new Socket()
        process.nextTick(() => socket.destroy(Object.assign(new Error('cut'), { code: 'EHOSTUNREACH' })))
        return socket
      }
      const socket = connectDirectly(target)
      const open = this.#open.get(line) ?? new Set()
      this.#open.set(line, open.add(socket))
      socket.once('close', () => open.delete(socket))
      return socket
    }
  }

  get isWhole(): boolean {
    return this.#cut.size === 0
  }

  /** Nothing passes between two ports any more, in either direction. */
  cut(one: number, other: number): void {
    this.#cut.add(lineOf(one, other))
    for (const socket of this.#open.get(lineOf(one, other)) ?? []) socket.destroy()
  }

  heal(): void {
    this.#cut.clear()
  }
}

function lineOf(one: number, other: number): string {
  return [one, other].sort((a, b) => a - b).join(' ')
}
