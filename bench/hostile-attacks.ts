import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { allBombs, explode } from './bombs.js'
import { Client, Connections, type PreparedRequest } from './client.js'
import { forgedSends, limitedRequest, sendsToMany, strangersHandshake } from './hostile-requests.js'

/** What others do to a node while its users go on. */
export const ATTACKS = ['drips', 'bad-signatures', 'handshakes', 'bombs', 'limited', 'tokens'] as const
export type AttackName = (typeof ATTACKS)[number]

/** Connections that drip. */
export const DRIPS = 2_000
/** Requests a second: far more than any limit takes of one address, and no more than one core makes beside a node. */
const RATE = 300
const BOMB_RATE = 30
const TICK_MILLISECONDS = 20
const FLOOD_CONNECTIONS = 16
/** So much is under way at once at most. */
const MOST_UNDER_WAY = 64

export interface Attack {
  /** @returns how many requests, or connections, there were */
  stop(): Promise<number>
}

/** Begins an attack; resolves when it is in full swing. */
export async function startAttack(name: AttackName, url: string): Promise<Attack> {
  switch (name) {
    case 'drips':
      return drip(url)
    case 'bombs':
      return throwBombs(url)
    case 'handshakes':
      return flood(url, strangersHandshake)
    case 'limited':
      return flood(url, limitedRequest)
    case 'tokens':
      return flood(url, await sendsToMany(url, 64))
    case 'bad-signatures':
      return flood(url, await forgedSends(url, 64))
  }
}

/** Opens connections, sends a byte a second of headers that never end, and opens another where one was closed. */
async function drip(url: string): Promise<Attack> {
  const { hostname, port } = new URL(url)
  const open = new Set<Socket>()
  let isStopped = false
  let count = 0
  const start = (): void => {
    if (isStopped) return
    count++
    const socket = connect(Number(port), hostname, () =>
      socket.write('POST /lookup HTTP/1.1\r\nhost: x\r\nx-drip: ')
    )
    open.add(socket)
    socket.resume().on('error', () => undefined)
    socket.once('close', () => {
      open.delete(socket)
      setTimeout(start, 100)
    })
  }
  for (let i = 0; i < DRIPS; i++) {
    start()
    if (i % 100 === 99) await delay(20)
  }
  const letters = setInterval(() => {
    for (const socket of open) socket.write('x')
  }, 1_000)
  return {
    async stop() {
      isStopped = true
      clearInterval(letters)
      for (const socket of open) socket.destroy()
      return count
    }
  }
}

async function flood(url: string, next: () => PreparedRequest): Promise<Attack> {
  const connections = new Connections(url, FLOOD_CONNECTIONS)
  return paced(
    RATE,
    () => connections.send(next()),
    () => connections.close()
  )
}

async function throwBombs(url: string): Promise<Attack> {
  const connections = new Connections(url, 1)
  const session = await new Client('bomber').open(connections)
  await connections.close()
  const bombs = allBombs(session)
  let next = 0
  return paced(
    BOMB_RATE,
    () => explode(url, bombs[next++ % bombs.length]!),
    async () => undefined
  )
}

async function paced(
  rate: number,
  send: () => Promise<unknown>,
  close: () => Promise<void>
): Promise<Attack> {
  const underWay = new Set<Promise<unknown>>()
  const begin = performance.now()
  let count = 0
  const timer = setInterval(() => {
    const due = ((performance.now() - begin) / 1_000) * rate
    while (count < due && underWay.size < MOST_UNDER_WAY) {
      count++
      // What a node answers to attacks is judged elsewhere.
      const sent: Promise<unknown> = send()
        .catch(() => undefined)
        .finally(() => underWay.delete(sent))
      underWay.add(sent)
    }
  }, TICK_MILLISECONDS)
  await delay(10 * TICK_MILLISECONDS)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(underWay)
      await close()
      return count
    }
  }
}
