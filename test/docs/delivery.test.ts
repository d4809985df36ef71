import { expect } from 'chai'
import {
  MEANING_OF_FAILURE,
  MEANING_OF_RESULT,
  MEANING_OF_STATUS,
  MEANING_OF_UNSIGNED
} from '../../federation/delivery/meanings.js'
import { readDocs } from './sources.js'

const TABLES = {
  status: MEANING_OF_STATUS,
  result: MEANING_OF_RESULT,
  failure: MEANING_OF_FAILURE,
  unsigned: MEANING_OF_UNSIGNED
}

describe('docs/delivery.md', () => {
  const page = readDocs('delivery.md')

  for (const [name, meanings] of Object.entries(TABLES)) {
    it(`says what each ${name} means, as the program does`, () => {
      const [, rows = ''] = page.split(`| ${name} | meaning |\n|---|---|\n`)
      const table = rows.slice(0, rows.indexOf('\n\n'))
      const documented = [...table.matchAll(/^\| `(.+?)` \| (.+?) \|$/gm)].map(([, key, value]) => [
        key,
        value
      ])
      expect(Object.fromEntries(documented)).to.deep.equal(meanings)
    })
  }

  it('explains every meaning', () => {
    const [, rows = ''] = page.split('| word | what happens |\n|---|---|\n')
    const explained = [...rows.slice(0, rows.indexOf('\n\n')).matchAll(/^\| ([a-z ]+) \|/gm)].map(
      ([, word]) => word
    )
    const used = new Set(Object.values(TABLES).flatMap(table => Object.values(table)))
    expect([...used, 'delivered'].filter(word => !explained.includes(word))).to.deep.equal([])
  })
})
