import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import fc from 'fast-check'
import { parseRequestPreimage } from '../../src/auth/parse-preimage.js'
import {
  type RequestToSign,
  requestPreimage,
  responsePreimageHead,
  signedRequestHeaders,
  signedResponseHeaders
} from '../../src/auth/preimage.js'
import { parseRequestTarget } from '../../src/auth/request-target.js'
import { TestUser } from '../support/client.js'

interface Vector {
  id: string
  cases: { n: number; hex: string }[]
  http: { method: string; url: string; headers: Record<string, string>; body: string }
  status: number
  headers: Record<string, string>
  body: string
  preimage: string
  signedData: string
  invoiceNumber: string
  signature: string
  signatureHex: string
}
const vectors: Vector[] = JSON.parse(
  readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8')
).vectors
const sender = new TestUser(Buffer.alloc(32, 0x33)).keys
const server = new TestUser(Buffer.alloc(32, 0x44)).keys
const REQUEST_ID = Buffer.alloc(32, 0xa0)
const NONE = 'ff'.repeat(9)

describe('BRC-104 request preimage', () => {
  for (const { id, http, preimage, invoiceNumber, signature } of vectors) {
    if (http?.headers['x-bsv-auth-request-id'] === undefined) continue
    it(`is the one of vector ${id}, byte for byte, and so is its signature`, () => {
      const built = requestPreimage({
        requestId: Buffer.from(http.headers['x-bsv-auth-request-id'] ?? '', 'base64'),
        method: http.method,
        ...parseRequestTarget(http.url)!,
        headers: signedRequestHeaders(Object.entries(http.headers).flat())!,
        body: [Buffer.from(http.body)]
      })
      expect(built.toString('hex')).to.equal(preimage)
      expect(sender.sign(built, invoiceNumber, server.publicKey).toString('hex')).to.equal(signature)
      expect(server.verify(built, Buffer.from(signature, 'hex'), invoiceNumber, sender.publicKey)).to.equal(
        true
      )
    })

    it(`is read back from vector ${id}`, () => {
      const request = parseRequestPreimage(Buffer.from(preimage, 'hex'))!
      expect(request.requestId.toString('base64')).to.equal(http.headers['x-bsv-auth-request-id'])
      expect(request.method).to.equal(http.method)
      expect(request.path + request.query).to.equal(http.url)
      expect(request.body?.toString() ?? '').to.equal(http.body)
      for (const { name, value } of request.headers) expect(http.headers[name]).to.equal(value)
    })
  }

  it('takes the body in pieces', () => {
    const request = { requestId: REQUEST_ID, method: 'POST', path: '/', query: '', headers: [] }
    const whole = requestPreimage({ ...request, body: [Buffer.from('abcdef')] })
    expect(
      requestPreimage({ ...request, body: [Buffer.from('abc'), Buffer.alloc(0), Buffer.from('def')] })
    ).to.deep.equal(whole)
  })

  it('writes lengths as VarInt and what is absent as -1', () => {
    const cases = vectors.find(({ id }) => id === 'varint')!.cases
    for (const { n, hex } of cases) {
      const body = n < 0 ? [] : [Buffer.alloc(n)]
      const built = requestPreimage({
        requestId: REQUEST_ID,
        method: 'POST',
        path: '/',
        query: '',
        headers: [],
        body
      })
      // A body of no bytes is no body.
      const expected = n === 0 ? NONE : hex
      const head = `${REQUEST_ID.toString('hex')}04504f5354012f${NONE}00`
      expect(built.toString('hex', 0, built.length - Math.max(n, 0))).to.equal(head + expected)
    }
  })

  it('signs authorization, content-type without parameters, and x-bsv-* but x-bsv-auth*, by name', () => {
    const raw = [
      'X-BSV-b',
      '2',
      'Accept',
      '*/*',
      'Content-Type',
      'application/json ; charset=utf-8',
      'x-bsv-auth-nonce',
      'n'
    ]
    const more = [
      'x-bsv-authority',
      'no',
      'Authorization',
      'Bearer t',
      'x-bsv-A',
      '1',
      'x-bsv-',
      '',
      'x-bsvx',
      'no'
    ]
    expect(signedRequestHeaders([...raw, ...more])).to.deep.equal([
      { name: 'authorization', value: 'Bearer t' },
      { name: 'content-type', value: 'application/json' },
      { name: 'x-bsv-', value: '' },
      { name: 'x-bsv-a', value: '1' },
      { name: 'x-bsv-b', value: '2' }
    ])
  })

  it('refuses a signed header that occurs twice, in whatever case, and minds no other', () => {
    expect(signedRequestHeaders(['x-bsv-a', '1', 'X-Bsv-A', '1'])).to.equal(undefined)
    expect(signedRequestHeaders(['content-type', 'a/b', 'x-bsv-a', '1', 'Content-Type', 'a/b'])).to.equal(
      undefined
    )
    expect(signedRequestHeaders(['authorization', 'a', 'authorization', 'b'])).to.equal(undefined)
    expect(signedRequestHeaders(['cookie', 'a', 'cookie', 'b'])).to.deep.equal([])
  })

  it('signs header values as UTF-8', () => {
    const headers = signedRequestHeaders(['x-bsv-a', 'é'])!
    const built = requestPreimage({
      requestId: REQUEST_ID,
      method: 'GET',
      path: '/',
      query: '',
      headers,
      body: []
    })
    expect(built.toString('hex')).to.contain(`${Buffer.from('x-bsv-a').toString('hex')}02c3a9`)
  })
})

describe('parseRequestPreimage', () => {
  const id = REQUEST_ID.toString('hex')
  const get = '03474554'
  const root = '012f'
  const refused: [what: string, hex: string][] = [
    ['nothing', ''],
    ['half a request id', id.slice(2)],
    ['no method', `${id}${NONE}${root}${NONE}00${NONE}`],
    ['an empty method', `${id}00${root}${NONE}00${NONE}`],
    ['a method with a blank', `${id}03472054${root}${NONE}00${NONE}`],
    ['no path', `${id}${get}${NONE}${NONE}00${NONE}`],
    ['a path that does not begin with a slash', `${id}${get}0161${NONE}00${NONE}`],
    ['a path with a query', `${id}${get}022f3f${NONE}00${NONE}`],
    ['a path with a fragment', `${id}${get}022f23${NONE}00${NONE}`],
    ['a path with NUL', `${id}${get}022f00${NONE}00${NONE}`],
    ['a path beyond ASCII', `${id}${get}032fc3a9${NONE}00${NONE}`],
    ['a path that is no UTF-8', `${id}${get}022fff${NONE}00${NONE}`],
    ['an empty query', `${id}${get}${root}0000${NONE}`],
    ['a query without its mark', `${id}${get}${root}016100${NONE}`],
    ['a query of its mark only', `${id}${get}${root}013f00${NONE}`],
    ['a header count of -1', `${id}${get}${root}${NONE}${NONE}${NONE}`],
    ['fewer headers than counted', `${id}${get}${root}${NONE}01${NONE}`],
    ['more headers than anybody sends', `${id}${get}${root}${NONE}fdffff${'0161'.repeat(200)}`],
    ['an empty header name', `${id}${get}${root}${NONE}01000161${NONE}`],
    ['headers out of order', `${id}${get}${root}${NONE}020162000161${NONE}`],
    ['a header twice', `${id}${get}${root}${NONE}02016100016100${NONE}`],
    ['a header value of -1', `${id}${get}${root}${NONE}010161${NONE}${NONE}`],
    ['a body longer than what is left', `${id}${get}${root}${NONE}000261`],
    ['a body much longer than what is left', `${id}${get}${root}${NONE}00feffffffff61`],
    ['a length of 3 bytes for what fits in 1', `${id}${get}${root}${NONE}00fd010061`],
    ['a length of 5 bytes for what fits in 3', `${id}${get}${root}${NONE}00fe0001000061`],
    ['a length of 9 bytes', `${id}${get}${root}${NONE}00ff010000000000000061`],
    ['a -1 that is not quite', `${id}${get}${root}${NONE}00fffffffffffffffffe`],
    ['a byte after the end', `${id}${get}${root}${NONE}00${NONE}00`],
    ['no body length', `${id}${get}${root}${NONE}00`]
  ]
  for (const [what, hex] of refused) {
    it(`refuses ${what}`, () => {
      expect(parseRequestPreimage(Buffer.from(hex, 'hex'))).to.equal(undefined)
    })
  }

  it('takes the request those were made from', () => {
    expect(parseRequestPreimage(Buffer.from(`${id}${get}${root}${NONE}00${NONE}`, 'hex'))).to.not.equal(
      undefined
    )
  })

  it('is the inverse of requestPreimage', () => {
    fc.assert(
      fc.property(requests(), request => {
        const built = requestPreimage(request)
        const parsed = parseRequestPreimage(built)!
        const body = Buffer.concat(request.body)
        expect(parsed).to.deep.equal({ ...request, body: body.length > 0 ? body : undefined })
        expect(
          requestPreimage({ ...parsed, body: parsed.body === undefined ? [] : [parsed.body] })
        ).to.deep.equal(built)
      })
    )
  })

  it('refuses every beginning of a request, and reads no changed one as the same', () => {
    fc.assert(
      fc.property(requests(), fc.nat(), fc.integer({ min: 1, max: 255 }), (request, place, change) => {
        const built = requestPreimage(request)
        const at = place % built.length
        expect(parseRequestPreimage(built.subarray(0, at))).to.equal(undefined)
        const changed = Buffer.from(built)
        changed[at]! ^= change
        expect(parseRequestPreimage(changed)).to.not.deep.equal(parseRequestPreimage(built))
      })
    )
  })

  it('never throws', () => {
    const tail = fc
      .uint8Array({ maxLength: 100 })
      .map(bytes => Buffer.concat([REQUEST_ID, Buffer.from(get + root, 'hex'), bytes]))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), tail), bytes => {
        const parsed = parseRequestPreimage(bytes)
        if (parsed === undefined) return
        const body = parsed.body === undefined ? [] : [parsed.body]
        // An empty body may also be written as length 0.
        if (parsed.body?.length !== 0)
          expect(requestPreimage({ ...parsed, body })).to.deep.equal(Buffer.from(bytes))
      }),
      { numRuns: 2_000 }
    )
  })
})

describe('BRC-104 response preimage', () => {
  for (const { id, status, headers, body, preimage, invoiceNumber, signature } of vectors) {
    if (!id.startsWith('brc104-response-')) continue
    it(`is the one of vector ${id}, byte for byte, and so is its signature`, () => {
      const requestId = Buffer.from(headers['x-bsv-auth-request-id'] ?? '', 'base64')
      const bytes = Buffer.from(body)
      const head = responsePreimageHead(requestId, status, signedResponseHeaders(headers), bytes.length)
      expect(Buffer.concat([head, bytes]).toString('hex')).to.equal(preimage)
      expect(
        server.sign(Buffer.concat([head, bytes]), invoiceNumber, sender.publicKey).toString('hex')
      ).to.equal(signature)
    })
  }

  it('does not sign the content type', () => {
    expect(
      signedResponseHeaders({
        'content-type': 'a/b',
        'x-bsv-b': 2,
        authorization: 'x',
        'x-bsv-auth-nonce': 'n'
      })
    ).to.deep.equal([
      { name: 'authorization', value: 'x' },
      { name: 'x-bsv-b', value: '2' }
    ])
  })
})

describe('parseRequestTarget', () => {
  const cases: [raw: string, path: string | undefined, query: string][] = [
    ['/', '/', ''],
    ['/a/b', '/a/b', ''],
    ['//sendMessage', '//sendMessage', ''],
    ['/a?b=c?d', '/a', '?b=c?d'],
    ['/a?', '/a', ''],
    ['/a%2Fb?%', '/a%2Fb', '?%'],
    ['http://host:1/a?b', '/a', '?b'],
    ['HTTPS://host//a', '//a', ''],
    ['http://host', undefined, ''],
    ['*', undefined, ''],
    ['host:443', undefined, ''],
    ['', undefined, ''],
    ['a', undefined, ''],
    ['/a#b', undefined, ''],
    ['/a?b#c', undefined, ''],
    ['/a b', undefined, ''],
    ['/\xe9', undefined, ''],
    ['/a?\x00', undefined, '']
  ]
  for (const [raw, path, query] of cases) {
    it(`reads ${JSON.stringify(raw)}`, () => {
      expect(parseRequestTarget(raw)).to.deep.equal(path === undefined ? undefined : { path, query })
    })
  }
})

/** Requests as our own server builds them. */
function requests(): fc.Arbitrary<RequestToSign> {
  const bytes = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map(b => Buffer.from(b))
  const visible = fc.constantFrom(...'abcXYZ019-._~%/:@!$&()*+,;=')
  const token = fc.string({ unit: visible, maxLength: 300 })
  const name = fc.string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-'),
    minLength: 1,
    maxLength: 20
  })
  return fc.record({
    requestId: bytes(32),
    method: fc.constantFrom('GET', 'POST', 'M-SEARCH'),
    path: token.map(text => `/${text}`),
    query: fc.oneof(
      fc.constant(''),
      token.filter(text => text !== '').map(text => `?${text}`)
    ),
    headers: fc
      .uniqueArray(fc.record({ name, value: fc.string({ unit: 'grapheme' }) }), {
        selector: header => header.name,
        maxLength: 5
      })
      .map(list => list.sort((a, b) => (a.name < b.name ? -1 : 1))),
    body: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 3 })
  })
}
