import { once } from 'node:events'
import { connect } from 'node:net'
import { BenchError } from './bench-error.js'
import { callBombs } from './bombs-of-calls.js'
import { httpBombs } from './bombs-of-http.js'
import { jsonBombs } from './bombs-of-json.js'
import type { Session } from './client.js'

/** One kind of request that costs its sender little and is to cost the node no more. */
export interface Bomb {
  readonly name: string
  /** Everything that is sent on a connection of its own. */
  readonly bytes: () => Buffer
  /** The connection may be closed without a word. */
  readonly isSilent?: true
}

/** At least 50 kinds. */
export function allBombs(session: Session): Bomb[] {
  return [...httpBombs(), ...jsonBombs(session), ...callBombs(session)]
}

/** An answer that takes longer is a hang, ms. */
const HANG_MILLISECONDS = 2_000
/** Answers are short, whatever was asked. */
const MOST_ANSWER_BYTES = 65_536

/**
 * Sends one and waits until the node has closed the connection.
 *
 * @returns the statuses of its answers
 * @throws BenchError unless all of them are 4xx and come in time
 */
export async function explode(url: string, { name, bytes, isSilent }: Bomb): Promise<number[]> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let told = ''
  socket.setEncoding('latin1').on('data', text => {
    told = (told + text).slice(0, MOST_ANSWER_BYTES)
  })
  // Being cut off in the middle is what happens to most.
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  const hang = setTimeout(() => socket.destroy(new Error('hang')), HANG_MILLISECONDS)
  const begin = performance.now()
  if (isSilent) socket.end(bytes())
  else socket.write(bytes())
  await closed.catch(() => undefined)
  clearTimeout(hang)
  const milliseconds = performance.now() - begin
  const statuses = [...told.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
  if (milliseconds >= HANG_MILLISECONDS) throw new BenchError(`${name}: no answer in ${HANG_MILLISECONDS} ms`)
  const isRefused = statuses.every(status => status >= 400 && status < 500)
  if (!isRefused || (statuses.length === 0 && !isSilent)) {
    throw new BenchError(`${name}: answered ${statuses.join(', ') || 'nothing'}: ${told.slice(0, 300)}`)
  }
  return statuses
}
