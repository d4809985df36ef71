import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

const MILLISECONDS = 3_000

/**
 * Asks a Redis whether it is there and lets us in: AUTH if the URL has a password, then PING.
 *
 * @param url `redis:` or `rediss:`
 * @throws Error that says what is wrong, without the password
 */
export async function pingRedis(url: string): Promise<void> {
  const { protocol, hostname, port, username, password } = new URL(url)
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) }
  const credentials = [username, password].filter(text => text !== '').map(decodeURIComponent)
  const auth = password === '' ? '' : command('AUTH', ...credentials)
  const socket =
    protocol === 'rediss:' ? connectTls({ ...address, servername: address.host }) : connectTcp(address)
  try {
    await answered(socket, auth + command('PING'))
  } finally {
    socket.destroy()
  }
}

/** RESP: an array of bulk strings. */
function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function answered(socket: Socket, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = ''
    socket.setTimeout(MILLISECONDS, () => reject(new Error('no answer in time')))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('it closed the connection')))
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
      const error = /^-([^\r\n]*)/m.exec(answer)
      if (error !== null) reject(new Error(error[1]))
      else if (answer.includes('+PONG\r\n')) resolve()
      else if (answer.length > 1_024) reject(new Error('it does not answer like a Redis'))
    })
    socket.write(request)
  })
}
