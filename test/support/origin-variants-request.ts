import type { CaseList } from './origin-cases.js'
import type { Recipe } from './origin-messages.js'
import { seeded } from './origin-parties.js'
import { ABSENT, field, json, preimage, type RequestParts, requestParts, varInt } from './origin-requests.js'

/*
 * Bytes that the sender has signed and his home host attests, under a linkage that holds, and that are no message: only
 * reading them strictly shows it.
 */

export function requestVariants(list: CaseList): void {
  otherRequests(list)
  otherPreimages(list)
}

/** A message that is signed, attested and not read as one. */
export function refuse(list: CaseList, name: string, what: string, recipe: Recipe): void {
  list.refuse('signed-message', name, what, { label: name, attested: true, ...recipe })
}

function refuseParts(
  list: CaseList,
  name: string,
  what: string,
  change: (parts: RequestParts) => Partial<RequestParts>
): void {
  refuse(list, `request/${name}`, `a request ${what}`, {
    bytes: (_, message) => {
      const parts = requestParts(`request/${name}`, json({ message }))
      return preimage({ ...parts, ...change(parts) })
    }
  })
}

/** Requests for something else than to send a message, or that would show a secret to every host. */
function otherRequests(list: CaseList): void {
  const paths = [
    '/sendmessage',
    '/sendMessage/',
    '/sendMessage2',
    '/api/sendMessage',
    '/./sendMessage',
    '/sendMessage%20',
    '/sendMessag%65',
    '/sendMessage;a',
    '\\sendMessage',
    'sendMessage',
    'http://host/sendMessage',
    '/',
    '/acknowledgeMessage',
    '/listMessages',
    '/propagateMessage',
    '/authorizeSending',
    '/authorizeRouting',
    '/revokeRouting',
    '/deliveryStatus',
    '/permissions/set'
  ]
  for (const path of paths) refuseParts(list, `path-${path}`, `for the path ${path}`, () => ({ path }))
  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'post', 'Post', 'HEAD', 'POST ', 'OPTIONS']) {
    refuseParts(list, `method-${method}`, `with the method "${method}"`, () => ({ method }))
  }
  for (const query of ['?a=b', '?', 'a=b', '?messageBox=other', '#a']) {
    refuseParts(list, `query-${query}`, `with the query ${query}`, () => ({ query }))
  }
  const type = ['content-type', 'application/json'] as const
  refuseParts(list, 'authorization', 'that signs an authorization header', () => ({
    headers: [['authorization', 'Bearer secret'], type]
  }))
  refuseParts(list, 'authorization-empty', 'that signs an empty authorization header', () => ({
    headers: [['authorization', ''], type]
  }))
  refuseParts(list, 'authorization-alone', 'that signs nothing but an authorization header', () => ({
    headers: [['authorization', 'Basic YTpi']]
  }))
}

/** Preimages that some reader might still take for a request. */
function otherPreimages(list: CaseList): void {
  const changes: [name: string, what: string, change: (parts: RequestParts) => Partial<RequestParts>][] = [
    [
      'request-id-31-bytes',
      'with a request id of 31 bytes',
      ({ requestId }) => ({ requestId: requestId.subarray(1) })
    ],
    [
      'request-id-33-bytes',
      'with a request id of 33 bytes',
      ({ requestId }) => ({ requestId: Buffer.concat([requestId, Buffer.of(4)]) })
    ],
    ['method-absent', 'without a method', () => ({ method: undefined })],
    ['method-empty', 'with an empty method', () => ({ method: '' })],
    ['path-absent', 'without a path', () => ({ path: undefined })],
    [
      'path-not-utf-8',
      'with a path that is no UTF-8',
      () => ({ path: Buffer.from('/sendMessage\xff', 'latin1') })
    ],
    ['path-with-nul', 'with NUL in the path', () => ({ path: '/sendMessage\0' })],
    ['query-empty', 'with an empty query, where none is absent', () => ({ query: '' })],
    ['body-absent', 'without a body', () => ({ body: undefined })],
    ['body-empty', 'with an empty body', () => ({ body: Buffer.alloc(0) })],
    ['header-count-more', 'with fewer headers than it counts', () => ({ headerCount: varInt(2) })],
    ['header-count-less', 'with more headers than it counts', () => ({ headerCount: varInt(0) })],
    ['header-count-absent', 'with −1 headers', () => ({ headerCount: ABSENT })],
    [
      'header-twice',
      'with a header twice',
      () => ({
        headers: [
          ['x-bsv-a', '1'],
          ['x-bsv-a', '1']
        ]
      })
    ],
    [
      'headers-unsorted',
      'with headers out of order',
      () => ({
        headers: [
          ['x-bsv-b', '1'],
          ['x-bsv-a', '1']
        ]
      })
    ],
    ['header-without-name', 'with a header without a name', () => ({ headers: [['', '1']] })],
    ['header-without-value', 'with a header of length −1', () => ({ headers: [['x-bsv-a', undefined]] })]
  ]
  for (const [name, what, change] of changes) refuseParts(list, name, what, change)

  const bytes: [name: string, what: string, change: (bytes: Buffer, body: Buffer) => Buffer][] = [
    ['byte-behind', 'with a byte behind its end', all => Buffer.concat([all, Buffer.of(0)])],
    ['last-byte-missing', 'without its last byte', all => all.subarray(0, -1)],
    ['half', 'cut in half', all => all.subarray(0, all.length / 2)],
    ['request-id-alone', 'of which only the request id is left', all => all.subarray(0, 32)],
    ['body-alone', 'of which only the JSON is left', (_, body) => body],
    [
      'body-length-more',
      'whose body is said to be longer',
      (all, body) => cut(all, body, Buffer.concat([varInt(body.length + 1), body]))
    ],
    [
      'body-length-less',
      'whose body is said to be shorter',
      (all, body) => cut(all, body, Buffer.concat([varInt(body.length - 1), body]))
    ],
    [
      'body-length-in-5-bytes',
      'whose length of the body is not in its shortest form',
      (all, body) =>
        cut(all, body, Buffer.concat([Buffer.of(0xfe, body.length & 255, body.length >> 8, 0, 0), body]))
    ],
    [
      'body-length-in-9-bytes',
      'whose length of the body is in nine bytes',
      (all, body) =>
        cut(
          all,
          body,
          Buffer.concat([Buffer.of(0xff, body.length & 255, body.length >> 8, 0, 0, 0, 0, 0, 0), body])
        )
    ],
    [
      'body-of-4-gib',
      'whose body is said to have 4 GiB',
      (all, body) => cut(all, body, Buffer.concat([Buffer.of(0xfe, 255, 255, 255, 255), body]))
    ],
    ['two-bodies', 'with two bodies', (all, body) => Buffer.concat([all, field(body)])],
    ['twice', 'twice', all => Buffer.concat([all, all])],
    ['hex', 'in hex', all => Buffer.from(all.toString('hex'))],
    ['base64', 'in base64', all => Buffer.from(all.toString('base64'))],
    [
      'http',
      'as it is on the wire',
      (_, body) => Buffer.concat([Buffer.from('POST /sendMessage HTTP/1.1\r\n\r\n'), body])
    ],
    ['random', 'that is nothing but noise', () => seeded('noise', 200)]
  ]
  for (const [name, what, change] of bytes) {
    refuse(list, `preimage/${name}`, `a request ${what}`, {
      bytes: (all, message) => change(all, json({ message }))
    })
  }
}

/** The preimage with other bytes from the length of the body on. */
function cut(all: Buffer, body: Buffer, rest: Buffer): Buffer {
  return Buffer.concat([all.subarray(0, all.length - field(body).length), rest])
}
