import type { Bomb } from './bombs.js'
import { ALMOST } from './bombs-of-http.js'
import type { Session } from './client.js'
import { requestBytes } from './raw-request.js'

const nested = (open: string, close: string, bytes: number): string => {
  const depth = Math.floor(bytes / (open.length + close.length))
  return open.repeat(depth) + close.repeat(depth)
}

/** Documents that are dear to read, or that two readers could take differently. */
const DOCUMENTS: Readonly<Record<string, () => string | Buffer>> = {
  'arrays in arrays': () => nested('[', ']', ALMOST),
  'objects in objects': () => `${nested('{"a":', '}', ALMOST).replace('}', '1}')}`,
  'arrays that never end': () => '['.repeat(ALMOST),
  '10,000 members': () => `{${Array.from({ length: 6_000 }, (_, i) => `"${i}":1`).join(',')}}`,
  '20,000 empty arrays': () => `[${'[],'.repeat(19_999)}[]]`,
  'a number of 60,000 digits': () => `{"a":${'9'.repeat(ALMOST)}}`,
  'numbers with enormous exponents': () => `[${'1e999999999,'.repeat(4_000)}1]`,
  'a member twice': () => '{"version":"0.1","version":"0.1"}',
  'a member twice in two spellings': () => '{"message":{},"m\\u0065ssage":{}}',
  'the prototype': () => '{"__proto__":{"authenticated":true}}',
  'the prototype in escapes': () => '{"\\u005f_proto__":{"authenticated":true}}',
  'the constructor': () => '{"constructor":{"prototype":{"authenticated":true}}}',
  'half a character': () => '{"message":"\\ud800"}',
  'bytes that are no UTF-8': () => Buffer.from('7b2261223a22fffefd227d', 'hex'),
  'a slash in three bytes': () => Buffer.from('7b2261223a22e080af227d', 'hex'),
  'UTF-16': () => Buffer.from('\ufeff{"message":{}}', 'utf16le'),
  'a byte order mark': () => '\ufeff{"message":{}}',
  NUL: () => '{"message":"\\u0000"}',
  '60,000 backslashes': () => `{"a":"${'\\'.repeat(ALMOST)}`,
  '60,000 quotes': () => '"'.repeat(ALMOST),
  'blanks and nothing else': () => ' '.repeat(ALMOST),
  'JSON with comments': () => '{/* */"message":{}}',
  'more behind the end': () => `{}${'{}'.repeat(ALMOST / 2)}`
}

/** Each of them to whoever answers strangers, and, signed, to a call of users. */
export function jsonBombs(session: Session): Bomb[] {
  return Object.entries(DOCUMENTS).flatMap(([name, document]) => {
    const body = (): Buffer => Buffer.from(document())
    return [
      { name: `${name}, in a handshake`, bytes: () => requestBytes('/.well-known/auth', body()) },
      { name: `${name}, in a message`, bytes: () => requestBytes('/sendMessage', body(), session) }
    ]
  })
}
