import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { ROOT, readDocs } from './sources.js'

const TEST = /`(test\/[\w./-]+\.test\.ts)`((?:,? “[^”]+”)*)/g
/** About three pages. */
const MOST_WORDS = 1_600

describe('docs/security.md', () => {
  const page = readDocs('security.md')
  /** Of each table row: what somebody tries, what holds, what shows it. */
  const rows = page
    .split('\n')
    .filter(line => line.startsWith('| ') && !line.startsWith('| tries |'))
    .map(line => line.split('|').slice(1, -1))

  it('names tests that are there, by file and title', () => {
    const missing: string[] = []
    for (const [, file = '', titles = ''] of page.matchAll(TEST)) {
      if (!existsSync(join(ROOT, file))) {
        missing.push(file)
        continue
      }
      const source = readFileSync(join(ROOT, file), 'utf8').replaceAll("\\'", "'")
      for (const [, title = ''] of titles.matchAll(/“([^”]+)”/g)) {
        if (!source.split('\n').some(line => /\b(?:it|describe)\(/.test(line) && line.includes(title)))
          missing.push(`${file} “${title}”`)
      }
    }
    expect(missing).to.deep.equal([])
  })

  it('shows every promise by a test with a title', () => {
    expect(rows.length).to.be.above(25)
    for (const row of rows) {
      expect(row, row[0]).to.have.length(3)
      expect(row[2], row[0]).to.match(/^ `test\/[^`]+\.test\.ts` “/)
    }
  })

  it('is short enough to be read', () => {
    expect(page.split(/\s+/).length).to.be.below(MOST_WORDS)
  })
})
