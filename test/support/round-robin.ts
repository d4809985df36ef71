import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { RawRequest } from './client.js'

/** A request that passed, as it was sent. */
export interface PassedRequest extends RawRequest {
  /** URL of the server that got it. */
  readonly upstream: string
}

/** A plain proxy: each request goes to the next server, and nothing is changed. */
export interface RoundRobin {
  readonly url: string
  /** Base URLs; may be changed. */
  upstreams: readonly string[]
  /** All, oldest first. */
  readonly passed: PassedRequest[]
  stop(): Promise<void>
}

export async function startRoundRobin(upstreams: readonly string[]): Promise<RoundRobin> {
  const passed: PassedRequest[] = []
  let turn = 0
  const server = http.createServer(async (incoming, response) => {
    const upstream = proxy.upstreams[turn++ % proxy.upstreams.length]!
    const body = Buffer.concat(await incoming.toArray())
    const { method = '', url: target = '', rawHeaders } = incoming
    const names = rawHeaders.filter((_, i) => i % 2 === 0)
    const headers = names.map((name, i): [string, string] => [name, rawHeaders[2 * i + 1]!])
    const kept = headers.filter(
      ([name]) => !/^(host|content-length|connection|transfer-encoding)$/i.test(name)
    )
    passed.push({ method, target, headers: kept, body, upstream })
    const outgoing = http.request(upstream, { method, path: target, headers: rawHeaders }, answer => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    outgoing.on('error', () => response.destroy())
    outgoing.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: RoundRobin = {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    upstreams,
    passed,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    }
  }
  return proxy
}
