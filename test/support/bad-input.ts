/** One thing that a member of a request may be, as JSON text; undefined: it is not there. */
export interface BadValue {
  readonly label: string
  readonly json: string | undefined
}

const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

/** Longer than every text and every body of a message that the node under test takes. */
const HUGE_TEXT = 70_000
const HUGE_ARRAY = 40_000

/** Short texts that mean something elsewhere: here they are texts. */
export const TEXTS = [
  '"NaN"',
  '"Infinity"',
  '"-1"',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"\\u202e"'
]
/** Spellings of 0. */
export const ZEROS = ['0', '-0']
export const ABSENT = ['missing', 'null']
export const CONTROL = '"a\\nb"'
export const EMPTY_OBJECT = '{}'
/** Arrays and objects that fit into a message. */
export const CONTAINERS = ['[]', '[null]', '[[]]', '[{}]', 'array of 24 arrays', EMPTY_OBJECT, 'odd object']

/** Every kind of value, right ones too: which of them are right is for each member to say. */
export const VALUES: readonly BadValue[] = [
  { label: 'missing', json: undefined },
  ...['null', 'true', ...ZEROS, '-1', '1.5', '1e300', '1e999', '9007199254740993', '""', '" "', CONTROL].map(
    literal
  ),
  ...TEXTS.map(literal),
  { label: 'huge text', json: `"${'x'.repeat(HUGE_TEXT)}"` },
  ...['[]', '[null]', '[[]]', '[{}]'].map(literal),
  { label: 'array of 24 arrays', json: deep(24) },
  { label: 'huge array', json: `[${'0,'.repeat(HUGE_ARRAY)}0]` },
  literal(EMPTY_OBJECT),
  {
    label: 'odd object',
    json: '{"constructor":1,"toString":null,"valueOf":"x","hasOwnProperty":[],"length":-1,"then":{}}'
  }
]

function literal(json: string): BadValue {
  return { label: json, json }
}

/** The request with one member replaced; `path` as `message.recipient` or `messageIds.0`. */
export function withMember(valid: object, path: string, { json }: BadValue): Buffer {
  const copy = JSON.parse(JSON.stringify(valid)) as Record<string, unknown>
  const names = path.split('.')
  const last = names.pop()!
  const container = names.reduce((value, name) => value[name] as Record<string, unknown>, copy)
  if (json !== undefined) container[last] = PLACE
  else if (Array.isArray(container)) container.splice(Number(last), 1)
  else delete container[last]
  return Buffer.from(JSON.stringify(copy).replace(JSON.stringify(PLACE), () => json ?? ''))
}

const PLACE = 'the place of the value'

/** Bodies that are no JSON, or JSON that somebody could read in another way, or no object. */
export function badDocuments(valid: object): readonly [label: string, body: Buffer][] {
  const text = JSON.stringify(valid)
  /** The valid request with one more member. */
  const plus = (member: string): string => `${text.slice(0, -1)},${member}}`
  const [firstName = 'a'] = Object.keys(valid)
  const first = JSON.stringify(firstName)
  const escaped = `"\\u${firstName.charCodeAt(0).toString(16).padStart(4, '0')}${firstName.slice(1)}"`
  const inside = (bytes: number[]): Buffer =>
    Buffer.concat([Buffer.from(`${text.slice(0, -1)},"x":"`), Buffer.from(bytes), Buffer.from('"}')])
  const texts: [string, string][] = [
    ['empty', ''],
    ['blank', ' \n'],
    ...['{', '}', 'null', 'true', '0', '""', '"text"', '[]', '[{}]', 'NaN', 'undefined', "{'a':1}"].map(
      (document): [string, string] => [document, document]
    ),
    ['cut off', text.slice(0, -1)],
    ['followed by more', `${text}{}`],
    ['twice', text + text],
    ['with a comma at the end', `${text.slice(0, -1)},}`],
    ['with a comment', plus('"x":1/**/')],
    ['with a leading zero', plus('"x":01')],
    ['with NaN', plus('"x":NaN')],
    ['with a raw line break in a string', plus('"x":"\n"')],
    ['with a byte order mark', `\ufeff${text}`],
    ['with a member twice', plus(`${first}:1`)],
    ['with a member twice, once escaped', plus(`${escaped}:1`)],
    ['with an inner member twice', plus('"x":{"a":1,"a":1}')],
    ['with __proto__', plus('"__proto__":{"a":1}')],
    ['with __proto__, escaped', plus('"\\u005f_proto__":null')],
    ['with NUL', plus('"x":"\\u0000"')],
    ['with a raw NUL', plus('"x":"\0"')],
    ['with NUL in a name', plus('"\\u0000":1')],
    ['with a lone high surrogate', plus('"x":"\\ud800"')],
    ['with a lone low surrogate', plus('"x":"\\udc00\\ud800"')],
    ['with a lone surrogate in a name', plus('"\\udfff":1')],
    ['nested too deep', plus(`"x":${deep(33)}`)],
    ['nested much too deep', `${'['.repeat(30_000)}`],
    ['with too many members', plus(Array.from({ length: 1_001 }, (_, i) => `"m${i}":0`).join())],
    ['with too many containers', plus(`"x":[${'[],'.repeat(1_000)}[]]`)]
  ]
  return [
    ...texts.map(([label, document]): [string, Buffer] => [label, Buffer.from(document)]),
    ['in UTF-16', Buffer.from(text, 'utf16le')],
    ['with a byte that is no UTF-8', inside([0xff])],
    ['with an overlong NUL', inside([0xc0, 0x80])],
    ['with a surrogate in UTF-8', inside([0xed, 0xa0, 0x80])],
    ['with UTF-8 cut off', inside([0xe2, 0x82])],
    ['of random bytes', Buffer.from('9f8b0c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f6', 'hex')]
  ]
}
