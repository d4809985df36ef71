import { baseOf, FORMATS, proofOf, set, without } from './origin-bases.js'
import type { Acceptance, CaseList } from './origin-cases.js'
import { CREATED_AT, EXPIRES, envelopeIdOf, GIVEN, type Recipe, sealed } from './origin-messages.js'
import { DAY, host, MINUTE, NOW, otherSender, sender, TIME_TO_LIVE } from './origin-parties.js'
import { json, type Members, preimage, requestParts } from './origin-requests.js'

/** Genuine messages of unusual content, at the edges of time, and beside what does not matter for them. */
export function unusualMessages(list: CaseList): void {
  requests(list)
  contents(list)
  times(list)
  irrelevant(list)
}

/** Requests as clients make them, too. */
function requests(list: CaseList): void {
  const cases: [name: string, what: string, change: Parameters<typeof changedRequest>[0]][] = [
    ['two-slashes', 'of a client whose host ends in a slash', { path: '//sendMessage' }],
    ['no-content-type', 'without a content type', { headers: [] }],
    [
      'signed-headers',
      'with other signed headers',
      {
        headers: [
          ['content-type', 'application/json'],
          ['x-bsv-a', ''],
          ['x-bsv-b', 'é']
        ]
      }
    ]
  ]
  for (const [name, what, change] of cases) {
    list.accept(
      `request-${name}`,
      `a request ${what}`,
      { label: name, attested: true, bytes: changedRequest(change, name) },
      { origin: 'home-host' }
    )
  }
  list.accept(
    'request-with-blanks',
    'a request whose JSON has blanks, escapes and a member nobody knows',
    {
      label: 'request-with-blanks',
      attested: true,
      bytes: (_, message) => {
        const text = JSON.stringify({ more: null, message }, undefined, 1).replace('inbox', '\\u0069nbox')
        return preimage(requestParts('request-with-blanks', Buffer.from(text)))
      }
    },
    { origin: 'home-host' }
  )
  list.accept(
    'request-with-payment',
    'a request with a payment',
    {
      label: 'request-with-payment',
      attested: true,
      bytes: (_, message) =>
        preimage(
          requestParts(
            'request-with-payment',
            json({ message, payment: { tx: [1, 2, 3], outputs: [{ outputIndex: 0 }] } })
          )
        )
    },
    { origin: 'home-host' }
  )
}

function changedRequest(change: Partial<ReturnType<typeof requestParts>>, label: string) {
  return (_: Buffer, message: Members): Buffer =>
    preimage({ ...requestParts(label, json({ message })), ...change })
}

function contents(list: CaseList): void {
  const cases: [name: string, what: string, recipe: Recipe, text?: string][] = [
    ['no-id', 'without a message id', { messageId: undefined }],
    ['integer-id', 'with an integer for a message id', { messageId: 42 }],
    ['digits-id', 'with an id of digits', { messageId: '007' }],
    ['empty-looking-body', 'with a short body', { body: '0' }],
    [
      'unicode',
      'with all sorts of characters',
      { body: 'é 🙂 \u2028\u202e \\ " \t', messageBox: 'Boîte 📬', messageId: 'ид"' }
    ],
    [
      'body-with-message',
      'with a body that stock clients would unpack',
      { body: '{"message":"inner","more":1}' }
    ],
    ['box-with-dashes', 'for a box whose name has dashes', { messageBox: 'a-b--c' }]
  ]
  for (const format of FORMATS) {
    for (const [name, what, recipe] of cases) {
      for (const origin of ['signature', 'home-host'] as const) {
        const label = `${name}-${origin}-${format}`
        list.accept(
          label,
          `${format}, ${what}`,
          { ...recipe, label, format, ...proofOf(origin, label) },
          { origin }
        )
      }
    }
    const label = `object-body-${format}`
    const body = { b: [1, 'é', null], a: { '': true } }
    list.accept(
      label,
      `${format} with an object for a body`,
      { label, format, body, attested: true },
      { origin: 'home-host', text: JSON.stringify(body) }
    )
    const blanks = sealed(`blanks-${format}`)
    list.accept(
      `sealed-with-blanks-${format}`,
      `${format}, sealed, with blanks in the JSON of the body`,
      {
        label: `sealed-with-blanks-${format}`,
        format,
        ...blanks,
        body: ` {\n"encryptedMessage" :\t"${blanks.ciphertext}"\r\n} `
      },
      { origin: 'sealed' }
    )
  }
  const shortest = Buffer.alloc(49, 7).toString('base64')
  list.accept(
    'sealed-shortest',
    'sealed, with the shortest ciphertext there is: 49 bytes',
    {
      label: 'sealed-shortest',
      body: JSON.stringify({ encryptedMessage: shortest }),
      ciphertext: shortest
    },
    { origin: 'sealed' }
  )
  list.accept(
    'sealed-object',
    'sealed, with an object for a body',
    {
      label: 'sealed-object',
      ciphertext: shortest,
      body: { encryptedMessage: shortest }
    },
    { origin: 'sealed', text: JSON.stringify({ encryptedMessage: shortest }) }
  )
  list.accept(
    'other-sender',
    'by another sender',
    { label: 'other-sender', sender: otherSender, signed: true },
    { origin: 'signature' }
  )
  list.accept(
    'to-himself',
    'to the sender himself',
    { label: 'to-himself', recipients: [sender], attested: true },
    { origin: 'home-host' }
  )
  list.accept(
    'own-host',
    'by the home host for itself',
    { label: 'own-host', sender: host, attested: true },
    { origin: 'home-host' }
  )
}

/** The last moments at which everything still holds. */
function times(list: CaseList): void {
  const cases: [name: string, what: string, recipe: Recipe, acceptance: Acceptance][] = [
    [
      'created-ahead',
      'signed by a clock that is ten minutes ahead',
      { signed: true, createdAt: NOW + 10 * MINUTE },
      { origin: 'signature' }
    ],
    [
      'created-long-ago',
      'signed as long ago as a message lives, but for 1 ms',
      { signed: true, createdAt: NOW - TIME_TO_LIVE + 1 },
      { origin: 'signature' }
    ],
    [
      'received-ahead',
      'received by a clock that is ten minutes ahead',
      { attested: true, attestation: { receivedAt: NOW + 10 * MINUTE } },
      { origin: 'home-host' }
    ],
    [
      'received-before-given',
      'received ten minutes before the authorization was given',
      { attested: true, attestation: { receivedAt: GIVEN - 10 * MINUTE } },
      { origin: 'home-host' }
    ],
    [
      'received-at-the-end',
      'received in the last millisecond of the authorization, which is over now',
      {
        attested: true,
        authorization: { given: NOW - 20 * DAY, expires: NOW - 10 * DAY },
        attestation: { receivedAt: NOW - 10 * DAY }
      },
      { origin: 'home-host' }
    ],
    [
      'authorized-for-90-days',
      'under an authorization of 90 days',
      { attested: true, authorization: { expires: GIVEN + 90 * DAY } },
      { origin: 'home-host' }
    ],
    [
      'authorized-for-a-moment',
      'under an authorization that ends when it begins',
      { attested: true, authorization: { given: NOW, expires: NOW }, attestation: { receivedAt: NOW } },
      { origin: 'home-host' }
    ],
    [
      'authorized-ahead',
      'under an authorization given by a clock that is ahead',
      { attested: true, authorization: { given: NOW + 5 * MINUTE, expires: EXPIRES } },
      { origin: 'home-host' }
    ]
  ]
  for (const [name, what, recipe, acceptance] of cases)
    list.accept(name, what, { label: name, ...recipe }, acceptance)
  const { recipe } = baseOf('sealed')
  for (const [name, firstSeen, time] of [
    ['ahead', NOW + DAY, NOW],
    ['now', NOW, NOW],
    ['long-ago', NOW - TIME_TO_LIVE + 1, NOW - TIME_TO_LIVE + 1],
    ['far-ahead', Number.MAX_SAFE_INTEGER, NOW]
  ] as const) {
    list.accept(
      `first-seen-${name}`,
      `sealed, first seen at ${firstSeen}`,
      { ...recipe, wire: set({ firstSeen }) },
      { origin: 'sealed', time }
    )
  }
}

/** What does not bear on a message that has another proof. */
function irrelevant(list: CaseList): void {
  for (const origin of ['signature', 'sealed'] as const) {
    for (const format of FORMATS) {
      const { name, recipe } = baseOf(origin, format)
      for (const [how, keyID] of [
        ['missing', undefined],
        ['changed', 'another']
      ] as const) {
        const recipeWithout = { ...recipe, wire: keyID === undefined ? without('keyID') : set({ keyID }) }
        list.accept(
          `key-id-${how}-${name}`,
          `${format}, proven by ${origin}, the key id ${how}: only an attestation speaks of the envelope that it names`,
          recipeWithout,
          { origin, envelopeId: bytes => envelopeIdOf(sender.identityKey, format, keyID ?? '', bytes) }
        )
      }
    }
  }
  list.accept(
    'expired-authorization',
    'signed, beside an authorization that was over before',
    {
      label: 'expired-authorization',
      signed: true,
      attested: true,
      authorization: { given: NOW - 80 * DAY, expires: NOW - 70 * DAY }
    },
    { origin: 'signature', time: CREATED_AT }
  )
}
