import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { ROOT, readDocs } from './sources.js'

const PUBLISHED = join(ROOT, 'test/vectors/published/ts-stack')

describe('docs/compatibility.md', () => {
  const page = readDocs('compatibility.md')

  it('has the same columns in every row of a table', () => {
    const ragged: string[] = []
    let columns = 0
    for (const line of page.split('\n')) {
      const cells = line.startsWith('|') ? line.split('|').length : 0
      if (cells !== columns && cells > 0 && columns > 0) ragged.push(line)
      columns = cells
    }
    expect(ragged).to.deep.equal([])
  })

  it('names published vectors that are there', () => {
    const ids = readdirSync(PUBLISHED, { recursive: true, encoding: 'utf8' })
      .filter(path => path.endsWith('.json'))
      .flatMap(path => {
        const { vectors } = JSON.parse(readFileSync(join(PUBLISHED, path), 'utf8')) as {
          vectors: { id: string }[]
        }
        return vectors.map(({ id }) => id)
      })
    const named = [...page.matchAll(/`(brc31-handshake|authsocket)`((?: \d+,?)+)/g)].flatMap(
      ([, file = '', numbers = '']) => [...numbers.matchAll(/\d+/g)].map(([number]) => `${file}.${number}`)
    )
    expect(named).to.not.be.empty
    // Ids begin with the folder.
    const endings = new Set(ids.map(id => id.split('.').slice(-2).join('.')))
    expect(named.filter(name => !endings.has(name))).to.deep.equal([])
  })

  it('names codes that the program writes', () => {
    const known = new Set(readDocs('errors.md').match(/\bERR_[A-Z_]+\b/g))
    const foreign = new Set([
      'ERR_INVALID_REQUEST_DATA',
      'ERR_MESSAGE_RESPONSE_TOO_LARGE',
      'ERR_INVALID_ACKNOWLEDGMENT'
    ])
    const named = page.match(/\bERR_[A-Z_]+\b/g) ?? []
    expect(named.filter(code => !known.has(code) && !foreign.has(code))).to.deep.equal([])
  })
})
