import { LockingScript, PushDrop as SdkPushDrop } from '@bsv/sdk'
import { expect } from 'chai'
import fc from 'fast-check'
import { domainToBaseUrl, parseDomain } from '../../federation/phip/domain.js'
import { decodePushDrop, encodePushDrop, MAX_FIELDS } from '../../federation/phip/push-drop.js'
import {
  formatRoutingText,
  parseRoutingText,
  verifyRoutingSignature
} from '../../federation/phip/routing-authorization.js'
import { verifyTokenScript } from '../../federation/phip/verify-token.js'
import { verifyWithdrawalScript } from '../../federation/phip/withdrawal.js'
import type { Network } from '../../src/config.js'
import { ANYONE_PUBLIC_KEY } from '../../src/keys/key-deriver.js'
import { describeFuzz, inputs, mutatedBytes, mutatedText, timely } from '../support/fuzz.js'
import {
  AUTHORIZATION,
  BOXES,
  curve,
  DOMAIN,
  operator,
  otherOperator,
  otherRecipient,
  recipient,
  tokenScript,
  withdrawalScript
} from '../support/phip-token-builder.js'

const networks = fc.constantFrom<Network>('local', 'private', 'test', 'main')

describeFuzz('fuzz: domains', () => {
  const texts = fc.oneof(
    mutatedText(
      fc.constantFrom(
        DOMAIN,
        'localhost:8080',
        '127.0.0.1',
        'xn--bcher-kva.example',
        'a.b.c.d.e.f',
        '0x7f.1',
        'a-b.co'
      )
    ),
    fc.domain(),
    fc.webAuthority(),
    fc.string({ unit: 'binary' })
  )

  it('are taken only where a URL parser finds the same host, or refused', () => {
    fc.assert(
      fc.property(texts, networks, (text, network) => {
        const parsed = timely(() => parseDomain(text, network))
        if (!parsed.ok) {
          expect(parsed.reason).to.match(/./)
          return
        }
        const url = new URL(domainToBaseUrl(parsed.value, network))
        const [name, port] = text.split(':')
        expect(url.hostname).to.equal(name)
        expect(url.port).to.equal(port === undefined || port === '80' ? '' : port)
        expect(`${url.username}${url.password}${url.pathname}${url.search}${url.hash}`).to.equal('/')
        if (network !== 'local') expect(url.hostname).to.match(/^(?=.*\.)(?!.*\.\d+$)[a-z0-9.-]+$/)
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: authorization texts', () => {
  const genuine = [undefined, BOXES, 'a b', '.*'].map(boxExpression =>
    formatRoutingText({ hostKey: operator.identityKey, domain: DOMAIN, boxExpression })
  )

  it('have one reading, and one spelling of it', () => {
    const texts = fc.oneof(mutatedText(fc.constantFrom(...genuine)), fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(texts, networks, (text, network) => {
        const parsed = timely(() => parseRoutingText(curve, text, network))
        if (parsed.ok) expect(formatRoutingText(parsed.value)).to.equal(text)
        else expect(parsed.reason).to.match(/./)
      }),
      inputs()
    )
  })

  it('are authorized by the signature that was made, and by no other', () => {
    const [text] = genuine
    const der = recipient.sign(Buffer.from(text!), AUTHORIZATION, ANYONE_PUBLIC_KEY)
    const others = fc.oneof(mutatedBytes(fc.constant(der)), fc.uint8Array({ maxLength: 80 }))
    const signers = fc.constantFrom(recipient, otherRecipient)
    fc.assert(
      fc.property(others, signers, (signature, by) => {
        const isGood = timely(() => verifyRoutingSignature(curve, by.identityKey, text!, signature))
        expect(isGood).to.equal(by === recipient && der.equals(signature))
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: PushDrop scripts', () => {
  const scripts = [
    tokenScript({}),
    tokenScript({ box: BOXES, position: 'after' }),
    withdrawalScript({}),
    encodePushDrop({
      lockingKey: operator.publicKey,
      fields: [Uint8Array.of(1), Uint8Array.of(0)],
      position: 'before'
    })
  ]
  const bytes = fc.oneof(
    { weight: 4, arbitrary: mutatedBytes(fc.constantFrom(...scripts)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('6d', '75', '51', '4cff', '4dffff', '4effffffff', '00', '6a'), fc.nat(3_000))
        .map(([hex, times]) => Buffer.from(hex.repeat(times), 'hex'))
    }
  )

  it('are read in one form, and as the decoder of @bsv/sdk reads them', () => {
    fc.assert(
      fc.property(bytes, script => {
        const read = timely(() => decodePushDrop(script))
        if (read === undefined) return
        expect(read.fields.length).to.be.within(1, MAX_FIELDS)
        expect(encodePushDrop(read).equals(script)).to.equal(true)
        if (!curve.isPublicKey(read.lockingKey)) return
        const sdk = SdkPushDrop.decode(LockingScript.fromBinary([...script]), read.position)
        expect(sdk.fields).to.deep.equal(read.fields.map(field => [...field]))
        expect(sdk.lockingPublicKey.toString()).to.equal(Buffer.from(read.lockingKey).toString('hex'))
      }),
      inputs()
    )
  })
})

describeFuzz('fuzz: PHIP tokens and withdrawals', () => {
  const tokens = [
    tokenScript({}),
    tokenScript({ box: BOXES }),
    tokenScript({ box: BOXES, position: 'after' })
  ]
  const withdrawals = [
    withdrawalScript({}),
    withdrawalScript({ text: `${otherOperator.identityKey} ${DOMAIN} ${BOXES}`, position: 'after' })
  ]
  const hostile = (genuine: Buffer[]) => fc.oneof(mutatedBytes(fc.constantFrom(...genuine)), fc.uint8Array())

  it('are the tokens that were made, or none, and say which check failed', () => {
    for (const script of tokens) expect(verifyTokenScript(curve, script, 'main').ok).to.equal(true)
    fc.assert(
      fc.property(hostile(tokens), networks, (script, network) => {
        const read = timely(() => verifyTokenScript(curve, script, network))
        expect(read.ok).to.equal(tokens.some(token => token.equals(script)))
        if (!read.ok) expect(read.check).to.match(/^[a-z-]+$/)
      }),
      inputs()
    )
  })

  it('are the withdrawals that were made, or none, and say which check failed', () => {
    const genuine = withdrawals.map(script => verifyWithdrawalScript(curve, script, 'main'))
    expect(genuine.every(({ ok }) => ok)).to.equal(true)
    fc.assert(
      fc.property(hostile(withdrawals), networks, (script, network) => {
        const read = timely(() => verifyWithdrawalScript(curve, script, network))
        // Nothing in it says whether the lock stands before or after: moved, it is the same withdrawal.
        if (read.ok) expect(genuine).to.deep.include(read)
        else {
          expect(withdrawals.some(withdrawal => withdrawal.equals(script))).to.equal(false)
          expect(read.check).to.match(/^[a-z-]+$/)
        }
      }),
      inputs()
    )
  })
})
