import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import { expect } from 'chai'
import { createResolve, type DialTarget, dial, type Resolve } from '../../federation/channel/dial.js'
import { createOutboundDoor } from '../../federation/channel/guarded-fetch.js'
import { parseOutboundUrl } from '../../federation/channel/outbound-url.js'
import { createLogger } from '../../src/logger.js'

const A = 1
const AAAA = 28
const HANG_MILLISECONDS = 2_000

/** Answers of a name server by type: addresses as bytes, `refuse` for NXDOMAIN, nothing for silence. */
type Zone = Readonly<Record<number, readonly (readonly number[])[] | 'refuse'>>

describe('dialling', () => {
  const open: { close(): unknown }[] = []
  afterEach(() => {
    for (const one of open.splice(0)) one.close()
  })

  /** @returns `address:port` of a name server that knows this and nothing else; it counts the questions */
  async function nameServer(zone: Zone): Promise<{ readonly address: string; readonly questions: number[] }> {
    const server: UdpSocket = createSocket('udp4')
    open.push(server)
    const questions: number[] = []
    server.on('message', (query, from) => {
      // Header of 12 bytes, then the name's labels up to a zero, type and class.
      const end = query.indexOf(0, 12) + 5
      const type = query.readUInt16BE(end - 4)
      questions.push(type)
      const answers = zone[type]
      if (answers === undefined) return
      const records = answers === 'refuse' ? [] : answers
      const header = Buffer.from(query.subarray(0, 12))
      header.writeUInt16BE(answers === 'refuse' ? 0x8183 : 0x8180, 2)
      header.writeUInt16BE(records.length, 6)
      header.writeUInt32BE(0, 8)
      const encoded = records.map(bytes =>
        Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, bytes.length, ...bytes])
      )
      server.send(Buffer.concat([header, query.subarray(12, end), ...encoded]), from.port, from.address)
    })
    server.bind(0, '127.0.0.1')
    await once(server, 'listening')
    return { address: `127.0.0.1:${server.address().port}`, questions }
  }

  const never = new AbortController().signal
  const PUBLIC_IPV6 = [0x26, 0x06, 0x47, 0, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11]

  describe('by DNS', () => {
    it('asks for both families, once, and takes all answers', async () => {
      const { address, questions } = await nameServer({
        [A]: [
          [93, 184, 216, 34],
          [10, 0, 0, 1]
        ],
        [AAAA]: [PUBLIC_IPV6]
      })
      const resolve = createResolve('main', [address])
      const addresses = await resolve('host.example', never)
      expect(addresses).to.have.members(['93.184.216.34', '10.0.0.1', '2606:4700:4700::1111'])
      expect(questions.sort()).to.deep.equal([A, AAAA])
    })

    it('is content with one family', async () => {
      const { address } = await nameServer({ [A]: [[93, 184, 216, 34]], [AAAA]: 'refuse' })
      expect(await createResolve('main', [address])('host.example', never)).to.deep.equal(['93.184.216.34'])
    })

    it('refuses a name that has a forbidden address of the other family, without dialling', async () => {
      const { address } = await nameServer({ [A]: [[93, 184, 216, 34]], [AAAA]: [[...Array(15).fill(0), 1]] })
      const dialled: DialTarget[] = []
      const connector = (target: DialTarget) => {
        dialled.push(target)
        return new Socket()
      }
      const resolver = createResolve('main', [address])
      const door = createOutboundDoor({
        network: 'main',
        logger: createLogger('silent'),
        resolver,
        connector
      })
      open.push(door)
      const call = door.request({ url: 'https://host.example/', method: 'GET', maximumAnswerBytes: 1 })
      const error = await call.catch((reason: unknown) => reason)
      expect(error).to.include({ kind: 'refused-address', phase: 'before-sent' })
      expect(dialled).to.deep.equal([])
    })

    it('fails for a name that is not there, and stops asking when it is given up', async () => {
      const refusing = await nameServer({ [A]: 'refuse', [AAAA]: 'refuse' })
      expect(await failureOf(createResolve('main', [refusing.address]))).to.include({ kind: 'dns' })
      const silent = await nameServer({})
      const startedAt = performance.now()
      expect(await failureOf(createResolve('main', [silent.address]))).to.include({ kind: 'dns' })
      expect(performance.now() - startedAt).to.be.below(HANG_MILLISECONDS)
    })
  })

  async function failureOf(resolve: Resolve): Promise<unknown> {
    const options = { network: 'main', resolve, connector: () => new Socket(), ca: undefined } as const
    const destination = parseOutboundUrl('https://host.example/', 'main')
    return dial(destination, options, never, 200).catch((reason: unknown) => reason)
  }

  it('goes on to the next address of a name if one is closed', async () => {
    const server: Server = createServer(socket => socket.end('HTTP/1.1 204 No Content\r\n\r\n')).listen(
      0,
      '127.0.0.1'
    )
    open.push(server)
    await once(server, 'listening')
    const bound = server.address()
    const port = typeof bound === 'object' ? bound?.port : undefined
    const resolver = async () => ['::1', '127.0.0.9', '127.0.0.1']
    const door = createOutboundDoor({ network: 'local', logger: createLogger('silent'), resolver })
    open.push(door)
    const answer = await door.request({ url: `http://host:${port}/`, method: 'GET', maximumAnswerBytes: 1 })
    expect(answer.status).to.equal(204)
  })

  it('is given up with the call it is for', async () => {
    const socket = new Socket()
    const giveUp = new AbortController()
    const resolve: Resolve = async () => ['93.184.216.34']
    const connector = () => {
      setImmediate(() => giveUp.abort())
      return socket
    }
    const destination = parseOutboundUrl('https://host.example/', 'main')
    const dialling = dial(
      destination,
      { network: 'main', resolve, connector, ca: undefined },
      giveUp.signal,
      60_000
    )
    const error = await dialling.catch((reason: unknown) => reason)
    expect(error).to.include({ kind: 'connect', phase: 'before-sent' })
    expect(socket.destroyed).to.equal(true)
  })
})
