import { createECDH } from 'node:crypto'
import { expect } from 'chai'
import { sealPush } from '../../federation/push/sealed-push.js'

const bytes = (base64url: string) => Buffer.from(base64url, 'base64url')

describe('a sealed push', () => {
  it('is what RFC 8291 shows in its appendix A', () => {
    const keyPair = createECDH('prime256v1')
    keyPair.setPrivateKey(bytes('yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw'))
    const keys = {
      point: bytes('BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4'),
      secret: bytes('BTBZMqHH6r4Tts7J_aSIgg')
    }
    const salt = bytes('DGv6ra1nlYgDCS1FRnbzlw')
    const sealed = sealPush(keys, Buffer.from('When I grow up, I want to be a watermelon'), { salt, keyPair })
    expect(sealed.toString('base64url')).to.equal(
      'DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8w' +
        'EqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN'
    )
  })

  it('is another one each time', () => {
    const keyPair = createECDH('prime256v1')
    const keys = { point: keyPair.generateKeys(), secret: Buffer.alloc(16) }
    const [first, second] = [sealPush(keys, Buffer.from('x')), sealPush(keys, Buffer.from('x'))]
    expect(first!.equals(second!)).to.equal(false)
  })

  it('is not made for a point off the curve', () => {
    const point = Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])
    expect(() => sealPush({ point, secret: Buffer.alloc(16) }, Buffer.from('x'))).to.throw()
  })
})
