import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, verify } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A push as the browser gets it. */
export interface HeardPush {
  readonly subscription: string
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

/** An answer to give instead of 201. */
export interface PushAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
}

/** A Web Push service (RFC 8030) and its browsers: it checks who calls (RFC 8292) and decrypts what comes (RFC 8291). */
export interface FakeWebPush {
  readonly origin: string
  readonly heard: HeardPush[]
  /** What was wrong with a call; empty if the node is right. */
  readonly faults: string[]
  /** How often it was called. */
  readonly calls: () => number
  /** From now on, until undefined. */
  answer(answer: PushAnswer | undefined): void
  /** As browsers do it, for one application server. */
  subscribe(applicationServerKey: string): object & { readonly endpoint: string }
  close(): Promise<void>
}

export async function startFakeWebPush(now: () => number): Promise<FakeWebPush> {
  const browsers = new Map<string, { open: (body: Buffer) => Buffer; applicationServerKey: string }>()
  const heard: HeardPush[] = []
  const faults: string[] = []
  let scripted: PushAnswer | undefined
  let calls = 0
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      calls += 1
      const { status, headers = {} } = scripted ?? { status: 201 }
      const browser = browsers.get(request.url ?? '')
      try {
        if (browser === undefined) throw new Error('no such subscription')
        checkAuthorization(request.headers, origin, browser.applicationServerKey, now())
        const text = browser.open(Buffer.concat(pieces)).toString()
        if (status < 300) heard.push({ subscription: request.url!, text, headers: request.headers })
      } catch (error) {
        faults.push(String(error))
      }
      response.writeHead(status, headers).end()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  return {
    origin,
    heard,
    faults,
    calls: () => calls,
    answer(answer) {
      scripted = answer
    },
    subscribe(applicationServerKey) {
      const path = `/push/${randomBytes(12).toString('base64url')}`
      const pair = createECDH('prime256v1')
      const point = pair.generateKeys()
      const secret = randomBytes(16)
      browsers.set(path, { applicationServerKey, open: body => openPush(pair, secret, body) })
      const keys = { p256dh: point.toString('base64url'), auth: secret.toString('base64url') }
      return { endpoint: origin + path, expirationTime: null, keys }
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

/** `Authorization: vapid t=<JWT>, k=<key>`, signed by the key that the browser subscribed for, for this very service. */
function checkAuthorization(
  headers: IncomingHttpHeaders,
  origin: string,
  applicationServerKey: string,
  now: number
): void {
  const [, token = '', key] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(headers.authorization ?? '') ?? []
  if (key !== applicationServerKey) throw new Error(`another application server: ${key}`)
  const point = Buffer.from(key, 'base64url')
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map(part => part.toString('base64url'))
  const publicKey = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x!, y: y! }, format: 'jwk' })
  const { header, claims } = readWebToken(token, (text, signature) =>
    verify('sha256', text, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)
  )
  if (header.alg !== 'ES256') throw new Error(`algorithm ${header.alg}`)
  if (claims.aud !== origin) throw new Error(`audience ${claims.aud}`)
  const left = Number(claims.exp) - now / 1000
  if (!(left > 0 && left <= 24 * 60 * 60)) throw new Error(`expires in ${left} s`)
  if (!/^(?:mailto|https):/.test(String(claims.sub))) throw new Error(`subject ${claims.sub}`)
  for (const [name, value] of Object.entries({ ttl: /^\d+$/, 'content-encoding': /^aes128gcm$/ })) {
    if (!value.test(String(headers[name]))) throw new Error(`${name}: ${headers[name]}`)
  }
}

interface WebToken {
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
}

/** @throws Error if the signature does not hold */
export function readWebToken(token: string, holds: (text: Buffer, signature: Buffer) => boolean): WebToken {
  const [head = '', body = '', signature = ''] = token.split('.')
  if (!holds(Buffer.from(`${head}.${body}`), Buffer.from(signature, 'base64url')))
    throw new Error('signature')
  const [header, claims] = [head, body].map(part => JSON.parse(Buffer.from(part, 'base64url').toString()))
  return { header, claims }
}

/** RFC 8188 and RFC 8291 from the other side. */
function openPush(pair: ReturnType<typeof createECDH>, secret: Buffer, body: Buffer): Buffer {
  const salt = body.subarray(0, 16)
  const sender = body.subarray(21, 21 + body.readUInt8(20))
  const record = body.subarray(21 + sender.length)
  const derive = (material: Buffer, from: Buffer, info: Buffer, length: number) =>
    Buffer.from(hkdfSync('sha256', material, from, info, length))
  const keyInfo = Buffer.concat([Buffer.from('WebPush: info\0'), pair.getPublicKey(), sender])
  const material = derive(pair.computeSecret(sender), secret, keyInfo, 32)
  const key = derive(material, salt, Buffer.from('Content-Encoding: aes128gcm\0'), 16)
  const nonce = derive(material, salt, Buffer.from('Content-Encoding: nonce\0'), 12)
  const decipher = createDecipheriv('aes-128-gcm', key, nonce)
  decipher.setAuthTag(record.subarray(-16))
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()])
  const end = padded.lastIndexOf(2)
  if (end === -1 || padded.subarray(end + 1).some(byte => byte !== 0)) throw new Error('padding')
  return padded.subarray(0, end)
}
