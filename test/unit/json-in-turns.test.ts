import { expect } from 'chai'
import fc from 'fast-check'
import { ApiError } from '../../src/errors.js'
import { parseJson } from '../../src/json.js'
import { parseJsonInTurns } from '../../src/json-in-turns.js'

const parse = async (text: string) => (await parseJsonInTurns(Buffer.from(text))) as Record<string, never>

describe('parseJsonInTurns', () => {
  const bytes = Buffer.from([0, 7, 255])
  const taken: [what: string, document: string][] = [
    ['an array', '{"payment":{"tx":[0,7,255],"outputs":[]},"message":{}}'],
    [
      'an array behind other members',
      '{"message":{"tx":[1],"body":"\\"}{"},"payment":{"outputs":[{"tx":[2]}],"tx":[0,7,255]}}'
    ],
    ['an array with blanks', ' {\n"payment" : { "tx" :\t[ 0 , 7\r, 255 ] } } '],
    ['an object of numbers', '{"payment":{"tx":{"0":0,"1":7,"2":255}}}'],
    ['an object with blanks', '{"payment":{"tx":{ "0" : 0 , "1" : 7 , "2" : 255 } }}']
  ]
  for (const [what, document] of taken) {
    it(`takes the transaction out of ${what}`, async () => {
      const { payment, ...rest } = await parse(document)
      const { payment: whole, ...others } = JSON.parse(document)
      expect(payment).to.deep.equal({ ...whole, tx: bytes })
      expect(rest).to.deep.equal(others)
    })
  }

  it('takes an object of more members than a document may have', async () => {
    const tx = Buffer.alloc(5_000, 9)
    const { payment } = await parse(JSON.stringify({ payment: { tx: { ...tx } } }))
    expect(payment).to.deep.equal({ tx })
  })

  const left: string[] = [
    '{"payment":{"tx":[]}}',
    '{"payment":{"tx":[256]}}',
    '{"payment":{"tx":[-1]}}',
    '{"payment":{"tx":[1.5]}}',
    '{"payment":{"tx":[1,"2"]}}',
    '{"payment":{"tx":[[1]]}}',
    '{"payment":{"tx":{"1":1}}}',
    '{"payment":{"tx":{"0":1,"2":1}}}',
    '{"payment":{"tx":{}}}',
    '{"payment":{"tx":"[1,2]"}}',
    '{"payment":[{"tx":[1,2]}]}',
    '{"payment":"x","tx":[1,2]}',
    '{"payment":null,"other":{"tx":[1,2]}}',
    '{"other":{"payment":{"tx":[1,2]}}}',
    '{"pay":"\\"payment\\":{\\"tx\\":[1,2]}"}',
    '[{"payment":{"tx":[1,2]}}]'
  ]
  for (const document of left) {
    it(`leaves ${document} as it is`, async () => {
      expect(await parse(document)).to.deep.equal(JSON.parse(document))
    })
  }

  const refused: [document: string, description: RegExp][] = [
    ['{"payment":{"tx":[1,]}}', /strict JSON/],
    ['{"payment":{"tx":[01]}}', /strict JSON/],
    ['{"payment":{"tx":[1 2]}}', /strict JSON/],
    ['{"payment":{"tx":[1,2', /strict JSON/],
    ['{"payment":{"tx":[1,2]}', /strict JSON/],
    ['{"payment":{"tx":[1,2],"tx":[1]}}', /occurs twice/],
    ['{"payment":{"tx":[1,2]},"payment":{}}', /occurs twice/],
    ['{"payment":{"tx":{"0":1,"0":2}}}', /occurs twice/],
    [`{"payment":{"txs":[${'300,'.repeat(600_001)}300]}}`, /more than 600000 elements/]
  ]
  for (const [document, description] of refused) {
    it(`refuses ${document.slice(0, 50)}`, async () => {
      const error = await parse(document).then(
        () => undefined,
        (thrown: unknown) => thrown
      )
      expect(error).to.be.instanceOf(ApiError).with.property('code', 'ERR_INVALID_JSON')
      expect((error as ApiError).message).to.match(description)
    })
  }

  it('lets others have their turn', async () => {
    const document = Buffer.from(
      JSON.stringify({ payment: { tx: Array.from(Buffer.alloc(2_000_000, 200)) } })
    )
    let turns = 0
    let isDone = false
    const count = (): void => {
      turns++
      if (!isDone) setImmediate(count)
    }
    setImmediate(count)
    await parseJsonInTurns(document)
    isDone = true
    expect(turns).to.be.above(10)
  })

  it('reads what parseJson reads, whatever the document', async () => {
    const names = fc.constantFrom('payment', 'tx', 'other', 'a"b')
    const { document } = fc.letrec(tie => ({
      document: fc.oneof(
        { maxDepth: 4 },
        tie('leaf'),
        fc.array(tie('document')),
        fc.dictionary(names, tie('document'))
      ),
      leaf: fc.oneof(
        fc.integer({ min: -1, max: 300 }),
        fc.string(),
        fc.constant(null),
        fc.uint8Array().map(a => [...a])
      )
    }))
    await fc.assert(
      fc.asyncProperty(document, async value => {
        const text = Buffer.from(JSON.stringify({ payment: value }))
        const parsed = (await parseJsonInTurns(text)) as { payment?: { tx?: unknown } }
        const tx = parsed.payment?.tx
        if (Buffer.isBuffer(tx)) parsed.payment!.tx = [...tx]
        expect(parsed).to.deep.equal(parseJson(text))
      })
    )
  })
})
