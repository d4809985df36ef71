import { expect } from 'chai'
import { ApiError } from '../../src/errors.js'
import { type ListEntry, type ListKind, OperatorLists } from '../../src/operator-lists.js'

const [SELF, ANN, BEN] = ['02aa', '02bb', '02cc']

function listsOf(...entries: readonly string[]) {
  const refused: ListKind[] = []
  const lists = new OperatorLists({
    own: { identityKey: SELF!, domain: 'own.example' },
    onRefused: kind => refused.push(kind)
  })
  lists.replace(
    entries.map(entry => {
      const [list, kind, value] = entry.split(' ')
      return { list, kind, value } as ListEntry
    })
  )
  return { lists, refused }
}

describe('lists of the operator', () => {
  const IDENTITIES: readonly (readonly [string, readonly string[], boolean, boolean])[] = [
    // lists, serves ann, serves ben
    ['no list', [], true, true],
    ['a block', [`block identity ${ANN}`], false, true],
    ['an allow', [`allow identity ${ANN}`], true, false],
    ['both', [`allow identity ${ANN}`, `block identity ${ANN}`], false, false],
    ['lists of other kinds', [`block host ${ANN}`, 'allow domain ann.example'], true, true]
  ]
  for (const [name, entries, ann, ben] of IDENTITIES) {
    it(`serve identities by ${name}, and the node itself always`, () => {
      const { lists } = listsOf(...entries)
      expect([ANN, BEN, SELF].map(key => lists.servesIdentity(key!))).to.deep.equal([ann, ben, true])
      const asHosts = listsOf(...entries.map(entry => entry.replace(/identity|host/, 'host'))).lists
      if (name !== 'lists of other kinds') expect(asHosts.servesHost(ANN!)).to.equal(ann)
      expect(asHosts.servesHost(SELF!)).to.equal(true)
    })
  }

  it('do not keep an allowed identity from writing to others', () => {
    const { lists } = listsOf(`allow identity ${ANN}`, `block identity ${SELF}`)
    expect([ANN, BEN, SELF].map(key => lists.blocksIdentity(key!))).to.deep.equal([false, false, false])
  })

  const DOMAINS: readonly (readonly [string, string, boolean])[] = [
    ['evil.example', 'evil.example', true],
    ['evil.example', 'a.b.evil.example', true],
    ['evil.example', 'notevil.example', false],
    ['evil.example', 'evil.example.org', false],
    ['example', 'evil.example', true],
    ['a.evil.example', 'evil.example', false],
    ['localhost', 'localhost:8080', true],
    ['localhost:8080', 'localhost:8080', true],
    ['localhost:8080', 'localhost:8081', false],
    ['evil.example', 'x.evil.example:81', true],
    ['example', 'own.example', false]
  ]
  for (const [entry, domain, isOn] of DOMAINS) {
    it(`${isOn ? 'find' : 'do not find'} ${domain} by the entry ${entry}`, () => {
      expect(listsOf(`block domain ${entry}`).lists.servesDomain(domain)).to.equal(!isOn)
      const allowed = listsOf(`allow domain ${entry}`).lists
      expect(allowed.servesDomain(domain)).to.equal(isOn || domain === 'own.example')
    })
  }

  it('say which list refuses a token, and count what they refuse to a caller', () => {
    const { lists, refused } = listsOf(
      `block host ${ANN}`,
      'block domain evil.example',
      `block identity ${BEN}`
    )
    expect(lists.refusalOfToken(ANN!, 'a.example', SELF!)).to.equal('host')
    expect(lists.refusalOfToken(BEN!, 'evil.example', SELF!)).to.equal('domain')
    expect(lists.refusalOfToken(SELF!, 'a.example', BEN!)).to.equal('identity')
    expect(lists.refusalOfToken(BEN!, 'a.example', ANN!)).to.equal(undefined)

    expect(() => lists.user(ANN!)).not.to.throw()
    expect(() => lists.user(BEN!))
      .to.throw(ApiError)
      .with.property('code', 'ERR_BLOCKED')
    expect(() => lists.host(ANN!))
      .to.throw(ApiError)
      .with.property('httpStatus', 403)
    expect(() => lists.host(BEN!)).to.throw(ApiError)
    expect(() => lists.anybody(ANN!)).to.throw(ApiError)
    expect(refused).to.deep.equal(['identity', 'host', 'identity', 'host'])
  })

  it('of the allowed do not keep hosts from asking what anybody may ask', () => {
    const { lists } = listsOf(`allow identity ${ANN}`, `allow host ${ANN}`)
    expect(() => lists.anybody(BEN!)).not.to.throw()
    expect(() => lists.host(BEN!)).to.throw(ApiError)
  })

  it('are replaced as a whole, and tell of it', () => {
    const { lists } = listsOf(`block identity ${ANN}`)
    let told = 0
    lists.onChange(() => told++)
    lists.replace([])
    expect([lists.servesIdentity(ANN!), told]).to.deep.equal([true, 1])
  })
})
