import { expect } from 'chai'
import { readDocs, readSources } from './sources.js'

/** Codes of Node.js and its libraries that this program reads and never writes. */
const FOREIGN = new Set(['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_PARSE_ARGS', 'ERR_SSL', 'ERR_TLS'])

const CODE = /'(ERR_[A-Z_]+|UNAUTHORIZED)'/g
/** Where a code and its HTTP status stand together. */
const WITH_STATUS =
  /(?:(badRequest)\(|(unavailable)\(|ApiError\(\s*(\d{3}),|\[\s*(\d{3}),|\brefusal\(\s*(\d{3}),)\s*'(ERR_[A-Z_]+)'/g
const ROW = /^\| `([A-Z_]+)` \| (.+?) \| (.+) \|$/gm

describe('docs/errors.md', () => {
  const documented = new Map(
    [...readDocs('errors.md').matchAll(ROW)].map(([, code = '', status = '']) => [code, status])
  )
  const source = readSources('src', 'federation')

  it('lists every code that the program writes, and no other', () => {
    const written = new Set(
      [...source.matchAll(CODE)].map(([, code = '']) => code).filter(code => !FOREIGN.has(code))
    )
    expect(
      [...written].filter(code => !documented.has(code)),
      'to be added'
    ).to.deep.equal([])
    expect(
      [...documented.keys()].filter(code => !written.has(code)),
      'no longer written'
    ).to.deep.equal([])
  })

  it('states the HTTP status of every code that the source states together with it', () => {
    const wrong: string[] = []
    for (const [, bad, away, ...rest] of source.matchAll(WITH_STATUS)) {
      const code = rest.pop() ?? ''
      const status = bad !== undefined ? '400' : away !== undefined ? '503' : rest.find(Boolean)
      if (
        !documented
          .get(code)
          ?.split(', ')
          .includes(status ?? '')
      )
        wrong.push(`${code} ${status}`)
    }
    expect(wrong).to.deep.equal([])
  })

  it('is in alphabetical order', () => {
    const codes = [...documented.keys()]
    expect(codes).to.deep.equal([...codes].sort())
  })

  it('knows every code that another page names', () => {
    for (const page of ['api.md', 'operations.md', 'protocol.md', 'configuration.md', 'federation.md']) {
      const named = [...readDocs(page).matchAll(/\bERR_[A-Z_]+\b/g)].map(([code]) => code)
      expect(
        named.filter(code => !documented.has(code)),
        page
      ).to.deep.equal([])
    }
  })
})
