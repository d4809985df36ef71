import { expect } from 'chai'
import { OutboundError } from '../../federation/channel/outbound-error.js'
import { PeerError } from '../../federation/channel/peer-error.js'
import { type Attempt, judgeAnswer, judgeFailure } from '../../federation/delivery/outcome.js'
import { waitAfter } from '../../federation/delivery/retry-policy.js'

const RECIPIENT = `02${'11'.repeat(32)}`

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Attempt {
  return judgeAnswer({ status, headers, json: () => body })
}

function outcomeOf(attempt: Attempt) {
  if (attempt.host !== 'answered') throw new Error(`the host is ${attempt.host}`)
  return attempt.outcomeOf(RECIPIENT)
}

const result = (members: object) => ({ status: 'success', results: [{ recipient: RECIPIENT, ...members }] })
const error = (code: string) => ({ status: 'error', code })

describe('what an answer means', () => {
  it('is delivered where the host says so, for each recipient', () => {
    expect(outcomeOf(answer(200, result({ status: 'success' })))).to.include({ state: 'delivered' })
    expect(outcomeOf(answer(200, { status: 'success' }))).to.include({ state: 'delivered' })
  })

  it('is deferred where the host says nothing of a recipient', () => {
    expect(outcomeOf(answer(200, { status: 'success', results: [] }))).to.include({ state: 'deferred' })
  })

  for (const httpStatus of [400, 402, 403, 409, 410, 413, 422]) {
    it(`is refused for good at ${httpStatus}, alone or in results`, () => {
      const refused = { state: 'refused', answer: 'ERR_X' }
      expect(outcomeOf(answer(httpStatus, error('ERR_X')))).to.deep.equal(refused)
      expect(outcomeOf(answer(200, result({ status: 'error', code: 'ERR_X', httpStatus })))).to.deep.equal(
        refused
      )
    })
  }

  for (const httpStatus of [408, 425, 429, 503, 507]) {
    it(`is deferred at ${httpStatus} in results, and not before the host wants it`, () => {
      const attempt = answer(200, result({ status: 'error', code: 'ERR_X', httpStatus, retryAfter: 7 }))
      expect(outcomeOf(attempt)).to.deep.equal({ state: 'deferred', answer: 'ERR_X', retryAfter: 7 })
    })
  }

  it('is a failure of the host, not of the message, when the host is in trouble', () => {
    for (const status of [401, 404, 429, 500, 502, 503]) {
      expect(answer(status, error('ERR_X'), { 'retry-after': '9' })).to.include({
        host: 'failing',
        retryAfter: 9
      })
    }
    expect(answer(200, '<html>')).to.include({ host: 'failing' })
  })

  it('takes no wait longer than an hour from a host', () => {
    expect(answer(503, {}, { 'retry-after': '999999999' })).to.include({ retryAfter: 3600 })
    expect(answer(503, {}, { 'retry-after': 'Wed, 21 Oct 2099 07:28:00 GMT' })).to.include({
      retryAfter: undefined
    })
  })

  it('shows nothing of a host but a code', () => {
    expect(outcomeOf(answer(403, error('<script>')))).to.include({ answer: 'HTTP 403' })
  })

  it('blames nobody for a token that names a domain of another key', () => {
    for (const kind of ['wrong-identity', 'other-key-known'] as const) {
      expect(judgeFailure(new PeerError(kind, 'x', {}))).to.deep.equal({ host: 'impostor', answer: kind })
    }
  })

  it('is a failure of the host when no answer comes', () => {
    expect(judgeFailure(new OutboundError('connect', 'before-sent', 'x'))).to.include({
      host: 'failing',
      answer: 'connect'
    })
    expect(judgeFailure(new PeerError('handshake-failed', 'x', {}))).to.include({ host: 'failing' })
  })

  it('does not swallow an error of our own', () => {
    expect(() => judgeFailure(new TypeError('bug'))).to.throw(TypeError)
  })
})

describe('the wait after failures', () => {
  it('doubles from 2 s to an hour, with full jitter, and is never nothing', () => {
    expect(waitAfter(1, undefined, 1)).to.equal(2_000)
    expect(waitAfter(2, undefined, 1)).to.equal(4_000)
    expect(waitAfter(11, undefined, 1)).to.equal(2_048_000)
    expect(waitAfter(12, undefined, 1)).to.equal(3_600_000)
    expect(waitAfter(100_000, undefined, 1)).to.equal(3_600_000)
    expect(waitAfter(1, undefined, 0)).to.equal(200)
  })

  it('is at least what the host asked for', () => {
    expect(waitAfter(1, 30, 0.5)).to.equal(30_000)
    expect(waitAfter(12, 1, 1)).to.equal(3_600_000)
  })
})
