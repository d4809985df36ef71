import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { ROOT, readDocs, readPages, readSources } from './sources.js'

const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
/** A file of this project, named in running text or code. */
const FILE =
  /(?<![\w/.-])((?:src|federation|docs|docker|migrations|scripts|test|bin)\/[\w./-]*\w\.(?:ts|js|mjs|cjs|md|sql|yaml|json)|docker\/Dockerfile)\b/g

/** The anchor that a heading gets. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-')
}

function anchorsOf(markdown: string): string[] {
  return [...markdown.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    anchor(heading)
  )
}

describe('the pages for readers', () => {
  const pages = readPages()

  for (const [path, text] of pages) {
    it(`${path} links to what is there`, () => {
      const broken = [...text.matchAll(LINK)]
        .map(([, target = '']) => target)
        .filter(target => !/^https?:/.test(target))
        .filter(target => {
          const [file = '', fragment] = target.split('#')
          const found = file === '' ? path : join(dirname(path), file)
          if (!existsSync(join(ROOT, found))) return true
          return (
            fragment !== undefined && !anchorsOf(readFileSync(join(ROOT, found), 'utf8')).includes(fragment)
          )
        })
      expect(broken).to.deep.equal([])
    })

    it(`${path} names files that are there`, () => {
      const named = [...text.matchAll(FILE)].map(([, file = '']) => file)
      expect(named.filter(file => !existsSync(join(ROOT, file)))).to.deep.equal([])
    })
  }

  it('have the sections of docs/protocol.md that the source refers to', () => {
    const sections = [...readDocs('protocol.md').matchAll(/^## (\d+)\. /gm)].map(([, number]) => number)
    const meant = [...readSources('src', 'federation').matchAll(/protocol sections? (\d+)/gi)].map(
      ([, number]) => number
    )
    expect(sections).to.include.members(meant)
  })
})
