import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import type { Bomb } from './bombs.js'

/** Less than what is taken of headers, and of bodies of strangers. */
export const ALMOST = 60_000
const TOO_LONG = 70_000
const ZEROS = Buffer.alloc(4 * 2 ** 20)

/** What is wrong with the transport, whatever it carries. */
export function httpBombs(): Bomb[] {
  return [...headBombs(), ...framingBombs(), ...encodingBombs()]
}

function headBombs(): Bomb[] {
  const head = (name: string, lines: string, target = '/sendMessage'): Bomb => ({
    name,
    bytes: () =>
      Buffer.from(`POST ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${lines}\r\n\r\n`, 'latin1')
  })
  const line = (name: string, text: string): Bomb => ({
    name,
    bytes: () => Buffer.from(`${text}\r\nhost: x\r\nconnection: close\r\n\r\n`, 'latin1')
  })
  const numbered = (count: number, of: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => of(i))
  return [
    head('a header of 70 kB', `x-long: ${'x'.repeat(TOO_LONG)}`),
    head('a header name of 60 kB', `${'x'.repeat(ALMOST)}: x`),
    head('6,000 headers', numbered(6_000, i => `x${i}: 1`).join('\r\n')),
    head('a header 5,000 times', 'a: b\r\n'.repeat(5_000).trimEnd()),
    head('5,000 signed headers', numbered(3_000, i => `x-bsv-${i}: 1`).join('\r\n')),
    head('headers named like members of objects', '__proto__: x\r\nconstructor: x\r\ntoString: x\r\nthen: x'),
    head('a folded header', 'x-folded: a\r\n b'),
    head('a header without a name', ': x'),
    head('a blank before the colon', 'transfer-encoding : chunked'),
    head('NUL in a header', 'x-nul: a\0b'),
    head('a bare line feed between headers', 'x-a: b\nx-c: d'),
    head('an upgrade', 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x'),
    head('an expectation', 'expect: the-unexpected'),
    head('X-Forwarded-For of 20,000 hops', `x-forwarded-for: ${'1.1.1.1,'.repeat(7_000)}1.1.1.1`),
    head('cookies', `cookie: ${'a=b; '.repeat(10_000)}`),
    head('Authrite', `x-authrite: 0.2\r\nx-authrite-nonce: ${'A'.repeat(ALMOST)}`),
    head('an identity key of 60 kB', `x-bsv-auth-identity-key: ${'02'.repeat(ALMOST / 2)}`),
    line('a target of 70 kB', `GET /${'x'.repeat(TOO_LONG)} HTTP/1.1`),
    line('10,000 parameters', `GET /getDocumentationForTopicManager?${'a=b&'.repeat(10_000)} HTTP/1.1`),
    line('20,000 slashes', `GET ${'/'.repeat(20_000)} HTTP/1.1`),
    line('a target that climbs', `GET ${'/..'.repeat(10_000)} HTTP/1.1`),
    line('a target of percent signs', `GET /${'%'.repeat(ALMOST)} HTTP/1.1`),
    line('a target of control characters', 'GET /\x01\x02\x7f HTTP/1.1'),
    line('an absolute target', 'GET http://127.0.0.1:1/nowhere HTTP/1.1'),
    line('no method that there is', 'BREW /sendMessage HTTP/1.1'),
    line('another version', 'GET / HTTP/9.9'),
    { name: 'HTTP/2', bytes: () => Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') },
    { name: 'TLS', bytes: () => Buffer.from('160301020001000001fc0303', 'hex') },
    { ...line('a tunnel', 'CONNECT 127.0.0.1:22 HTTP/1.1'), isSilent: true }
  ]
}

function framingBombs(): Bomb[] {
  const framed = (name: string, lines: string, rest: string | (() => string), isSilent?: true): Bomb => ({
    name,
    bytes: () =>
      Buffer.from(
        `POST /lookup HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${lines}\r\n\r\n${typeof rest === 'string' ? rest : rest()}`,
        'latin1'
      ),
    ...(isSilent && { isSilent })
  })
  const chunked = 'transfer-encoding: chunked'
  return [
    framed('a length beyond all measure', 'content-length: 9007199254740991', ''),
    framed('a length that is no number', 'content-length: 99999999999999999999999999', ''),
    framed('a negative length', 'content-length: -1', 'x'),
    framed('two lengths', 'content-length: 1\r\ncontent-length: 2', 'xx'),
    framed('a length and chunks', `content-length: 4\r\n${chunked}`, '0\r\n\r\n'),
    framed('chunks, and chunks again', `${chunked}\r\ntransfer-encoding: identity`, '0\r\n\r\n'),
    framed('chunks by another name', 'transfer-encoding: xchunked', '0\r\n\r\n'),
    framed(
      'a length that is too short',
      'content-length: 2',
      '{}POST /sendMessage HTTP/1.1\r\nhost: x\r\n\r\n'
    ),
    framed('a length that is too long', 'content-length: 500', '{}', true),
    framed(
      'a second request in the first',
      'content-length: 0',
      'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n'
    ),
    framed('a chunk longer than any number', chunked, 'fffffffffffffffffffff\r\nx'),
    framed('a chunk of negative length', chunked, '-1\r\nx'),
    framed('a chunk extension of 60 kB', chunked, () => `1;${'x'.repeat(ALMOST)}\r\n{\r\n0\r\n\r\n`),
    framed('10,000 chunk extensions', chunked, () => `${'1;a=b\r\nx\r\n'.repeat(10_000)}0\r\n\r\n`),
    framed('16,000 chunks of one byte', chunked, () => `${'1\r\n[\r\n'.repeat(16_000)}0\r\n\r\n`),
    framed('trailers of 70 kB', chunked, () => `2\r\n{}\r\n0\r\nx-long: ${'x'.repeat(TOO_LONG)}\r\n\r\n`)
  ]
}

function encodingBombs(): Bomb[] {
  return Object.entries({ gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }).map(
    ([encoding, compress]) => {
      const body = compress(ZEROS)
      const lines = `content-encoding: ${encoding}\r\ncontent-length: ${body.length}\r\nconnection: close`
      const head = `POST /lookup HTTP/1.1\r\nhost: x\r\n${lines}\r\n\r\n`
      return { name: `4 MiB of zeros in ${encoding}`, bytes: () => Buffer.concat([Buffer.from(head), body]) }
    }
  )
}
