import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { expect } from 'chai'
import { pingRedis } from '../../src/cli/redis-ping.js'

describe('ping of Redis', () => {
  let server: Server | undefined
  let heard = ''

  afterEach(() => server?.close())

  /** A server that gives one answer to whatever comes. @returns its address */
  async function answering(answer: string): Promise<string> {
    heard = ''
    server = createServer(socket => {
      socket.on('data', piece => {
        heard += piece
        socket.end(answer)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return `127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const failure = (url: string): Promise<unknown> => pingRedis(url).catch((error: unknown) => String(error))

  it('is one command where there is no password, and two where there is', async () => {
    await pingRedis(`redis://${await answering('+PONG\r\n')}`)
    expect(heard).to.equal('*1\r\n$4\r\nPING\r\n')
    server?.close()
    await pingRedis(`redis://user:p%C3%A4ss@${await answering('+OK\r\n+PONG\r\n')}/3`)
    expect(heard).to.equal('*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$5\r\npäss\r\n*1\r\n$4\r\nPING\r\n')
  })

  it('tells what Redis says against it', async () => {
    const address = await answering('-NOAUTH Authentication required.\r\n')
    expect(await failure(`redis://${address}`)).to.equal('Error: NOAUTH Authentication required.')
  })

  it('fails where nothing answers like a Redis', async () => {
    expect(await failure(`redis://${await answering('')}`)).to.contain('closed the connection')
    server?.close()
    const page = `HTTP/1.1 400 Bad Request\r\n\r\n${'x'.repeat(2_000)}`
    expect(await failure(`redis://${await answering(page)}`)).to.contain('does not answer like a Redis')
  })
})
