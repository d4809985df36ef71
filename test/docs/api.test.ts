import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { ROOT, readDocs, readPages, readSources } from './sources.js'

const REGION = /^\/\/ #region ([\w-]+)\n([\s\S]*?)^\/\/ #endregion$/gm
/** In a page: ```js docs/examples/api.mjs region */
const QUOTE = /^```js (docs\/examples\/[\w-]+\.mjs) ([\w-]+)\n([\s\S]*?)^```$/gm

function regionsOf(file: string): Map<string, string> {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return new Map([...text.matchAll(REGION)].map(([, name = '', code = '']) => [name, code]))
}

describe('docs/api.md', () => {
  const page = readDocs('api.md')

  it('describes every call, and no other', () => {
    const calls = [
      ...readSources('src/api', 'src/auth', 'federation/api').matchAll(
        /method: '(GET|POST)',\s*path: '([^']+)'/g
      )
    ].map(([, method, path]) => `${method} ${path}`)
    const described = [...page.matchAll(/^### `((?:GET|POST) \/\S*)`/gm)].map(([, call]) => call)
    expect(described).to.have.members(calls)
  })

  it('quotes the examples as they are run', () => {
    const quotes = [...readPages().values()].flatMap(text => [...text.matchAll(QUOTE)])
    expect(quotes).to.not.be.empty
    for (const [, file = '', region = '', code] of quotes) {
      expect(code, `${region} of ${file}`).to.equal(regionsOf(file).get(region))
    }
  })

  it('quotes every region', () => {
    const quoted = [...page.matchAll(QUOTE)].map(([, , region]) => region)
    expect(quoted).to.include.members([...regionsOf('docs/examples/api.mjs').keys()])
  })
})
