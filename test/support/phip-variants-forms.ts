import type { TokenCheck } from '../../federation/phip/verify-token.js'
import { BROKEN_UTF8, brokenDer, brokenKeys } from './phip-broken-bytes.js'
import { DOMAINS_OF_LOCAL, DOMAINS_OF_NO_NETWORK } from './phip-domains.js'
import { BOXES, operator, recipient } from './phip-token-builder.js'
import { BASES, VariantList } from './phip-variant-list.js'

/** Variants with a field whose form is wrong; every signature fits the fields as they are. */
export function formVariants(): VariantList['vectors'] {
  const list = new VariantList()
  keys(list)
  domains(list)
  recipientSignatures(list)
  boxExpressions(list)
  missingAndDoubled(list)
  swapped(list)
  moved(list)
  return list.vectors
}

function keys(list: VariantList): void {
  for (const [name, bytes] of brokenKeys(operator.publicKey)) {
    list.add('operator-key', name, 'the operator key is no compressed public key', {
      fields: fields => replaced(fields, 1, bytes)
    })
  }
  for (const [name, bytes] of brokenKeys(recipient.publicKey)) {
    list.add('recipient-key', name, 'the recipient key is no compressed public key', {
      fields: fields => replaced(fields, 3, bytes)
    })
  }
}

function domains(list: VariantList): void {
  for (const [index, domain] of DOMAINS_OF_NO_NETWORK.entries()) {
    if (domain.length > 1000) continue
    const what = `the domain ${JSON.stringify(domain)}`
    list.add('domain', `nowhere-${index}`, what, { domain }, index % 4 === 0 ? 'main' : 'local')
  }
  for (const [index, domain] of DOMAINS_OF_LOCAL.entries()) {
    const network = (['private', 'test', 'main'] as const)[index % 3]!
    list.add(
      'domain',
      `local-only-${index}`,
      `the domain ${JSON.stringify(domain)} of the local network`,
      { domain },
      network
    )
  }
  for (const [name, bytes] of BROKEN_UTF8) {
    list.add('domain', name, 'a domain that is no UTF-8', {
      domain: Buffer.concat([bytes, Buffer.from('.org')])
    })
  }
}

function recipientSignatures(list: VariantList): void {
  const names = brokenDer(recipient.sign(Buffer.of(), 'any', operator.publicKey)).map(([name]) => name)
  for (const [index, name] of names.entries()) {
    list.add('recipient-signature-form', name, 'the recipient signature is no strict DER', {
      recipientSignature: der => brokenDer(der)[index]![1]
    })
  }
}

function boxExpressions(list: VariantList): void {
  const refused: ReadonlyArray<readonly [string, string]> = [
    ['empty', ''],
    ['all', 'ALL'],
    ['nul', '\0'],
    ['byte-05', '\x05'],
    ['byte-10', '\x10'],
    ['tab', 'a\tb'],
    ['newline', 'inbox\n'],
    ['delete', 'inbox\x7f'],
    ['next-line', 'inbox\x85'],
    ['257-bytes', 'a'.repeat(257)],
    ['257-bytes-of-129-characters', `${'é'.repeat(128)}a`],
    ['2000-bytes', 'a'.repeat(2000)],
    ['parenthesis-open', '(inbox'],
    ['parenthesis-closed', 'inbox)'],
    ['bracket-open', '[a-z'],
    ['range-reversed', '[z-a]'],
    ['backslash-last', 'inbox\\'],
    ['star-first', '*'],
    ['plus-first', '+inbox'],
    ['question-mark-first', '?'],
    ['star-star', 'a**'],
    ['repetition-of-repetition', 'a{2}{3}'],
    ['repetition-reversed', 'a{5,2}'],
    ['lookahead', '(?=inbox)'],
    ['negative-lookahead', '^(?!spam)'],
    ['lookbehind', '(?<=a)b'],
    ['negative-lookbehind', '(?<!a)b'],
    ['backreference', '(a)\\1'],
    ['named-backreference', '(?<n>a)\\k<n>'],
    ['possessive', 'a++'],
    ['atomic-group', '(?>a)'],
    ['conditional', '(a)?(?(1)b|c)'],
    ['recursion', '(a(?R)?b)'],
    ['comment', '(?#inbox)a'],
    ['unknown-flag', '(?x)a'],
    ['unknown-escape', '\\y'],
    ['unicode-escape-of-javascript', '\\u0061'],
    ['control-escape-of-javascript', '\\cA'],
    ['any-byte', '\\C'],
    ['unknown-property', '\\p{Klingon}'],
    ['unknown-class', '[[:klingon:]]'],
    ['code-point-too-large', '\\x{110000}'],
    ['group-named-twice', '(?P<a>x)(?P<a>y)'],
    ['repetition-1001', 'a{1001}'],
    ['repetition-1000', 'a{1000}'],
    ['repetition-0-1000', 'a{0,1000}'],
    ['repetition-nested', '((a{10}){10}){10}'],
    ['repetition-nested-too-deep', '((a{100}){100}){100}'],
    ['repetition-of-flags', '(a{30})(?i){30}'],
    ['repetitions-side-by-side', 'a{300}b{301}'],
    ['repetition-behind-class', '[+-[:](?:a{40}){20}[:]'],
    ['repeated-alternatives', '(a|b|c){300}'],
    ['repeated-unicode-class', '\\pL{100}'],
    ['unicode-classes-in-class', `[${'\\pL'.repeat(80)}]`],
    ['wide-ranges-ignoring-case', `(?i)[${'!-\u{1e942}'.repeat(5)}]`]
  ]
  for (const [name, box] of refused) {
    list.add('box-expression', name, `the box expression ${JSON.stringify(box.slice(0, 60))}`, { box })
  }
  for (const [name, bytes] of BROKEN_UTF8) {
    const what = 'a box expression that is no UTF-8'
    list.add('box-expression', name, what, {
      box: Buffer.concat([Buffer.from('^a'), bytes]),
      position: 'after'
    })
  }
}

/** What a field is checked for, by its place; `signed` are the fields with the signature. */
const CHECK_OF_PLACE: readonly TokenCheck[] = [
  'identifier',
  'operator-key',
  'domain',
  'recipient-key',
  'recipient-signature-form',
  'box-expression',
  'field-signature'
]

function missingAndDoubled(list: VariantList): void {
  for (const [base, start] of BASES) {
    const count = base === 'all' ? 6 : 7
    for (let place = 0; place < count; place++) {
      const missing: TokenCheck =
        place === 0 ? 'identifier' : base === 'all' ? 'field-count' : checkWithout(place)
      list.add(missing, `field-${place + 1}-missing/${base}`, `field ${place + 1} is missing`, {
        ...start,
        signedFields: fields => fields.filter((_, at) => at !== place)
      })
      // In its second place the field stands where the next should be.
      const doubled: TokenCheck = base === 'all' ? CHECK_OF_PLACE[Math.min(place + 1, 5)]! : 'field-count'
      list.add(doubled, `field-${place + 1}-doubled/${base}`, `field ${place + 1} stands there twice`, {
        ...start,
        signedFields: fields => fields.flatMap((field, at) => (at === place ? [field, field] : [field]))
      })
    }
  }
}

/** Which check fails if the field is missing from a token with a box expression. */
function checkWithout(place: number): TokenCheck {
  // Without the expression the fields have the right forms, but the operator signed others.
  if (place >= 5) return 'field-signature'
  return CHECK_OF_PLACE[place]!
}

function swapped(list: VariantList): void {
  for (const [base, start] of BASES) {
    const count = base === 'all' ? 6 : 7
    for (let first = 0; first < count; first++) {
      for (let second = first + 1; second < count; second++) {
        const what = `fields ${first + 1} and ${second + 1} have changed places`
        list.add(
          checkOfSwap(first, second, count),
          `fields-${first + 1}-${second + 1}-swapped/${base}`,
          what,
          {
            ...start,
            signedFields: fields => replaced(replaced(fields, first, fields[second]!), second, fields[first]!)
          }
        )
      }
    }
    list.add('identifier', `fields-reversed/${base}`, 'the fields in reverse order', {
      ...start,
      signedFields: fields => fields.toReversed()
    })
  }
}

function checkOfSwap(first: number, second: number, count: number): TokenCheck {
  if (first === 1 && second === 3) return 'locking-key' // two keys
  if (first === 4 && second === count - 1) return 'field-signature' // two signatures
  return CHECK_OF_PLACE[first]!
}

/** The signature over the joined fields stays valid when bytes move from one field into the next. */
function moved(list: VariantList): void {
  for (const bytes of [1, 2, 5, 10]) {
    for (let place = 0; place < 5; place++) {
      const pair = `${bytes}-from-${place + 1}-to-${place + 2}`
      if (bytes < 4 || place > 0) {
        list.add(
          checkOfMove(place, 'forward'),
          `bytes-moved/${pair}`,
          `${bytes} bytes moved into the next field`,
          {
            box: BOXES,
            signedFields: fields => divided(fields, place, fields[place]!.length - bytes)
          }
        )
      }
      const back = `${bytes}-from-${place + 2}-to-${place + 1}`
      list.add(
        checkOfMove(place, 'back'),
        `bytes-moved/${back}`,
        `${bytes} bytes moved into the field before`,
        {
          box: BOXES,
          signedFields: fields => divided(fields, place, fields[place]!.length + bytes)
        }
      )
    }
  }
}

function checkOfMove(place: number, direction: 'forward' | 'back'): TokenCheck {
  // What is left of a domain may still be one; then it is the key behind it that is too long.
  if (place === 2 && direction === 'forward') return 'recipient-key'
  return CHECK_OF_PLACE[place]!
}

/** The fields at `place` and behind it, joined and divided again after `length` bytes. */
function divided(fields: readonly Uint8Array[], place: number, length: number): Uint8Array[] {
  const both = Buffer.concat([fields[place]!, fields[place + 1]!])
  return replaced(replaced(fields, place, both.subarray(0, length)), place + 1, both.subarray(length))
}

function replaced(fields: readonly Uint8Array[], at: number, field: Uint8Array): Uint8Array[] {
  return fields.with(at, field)
}
