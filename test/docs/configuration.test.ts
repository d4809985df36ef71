import { expect } from 'chai'
import { CONFIG_FILE, SETTINGS, type Setting } from '../../src/config-schema.js'
import { readDocs } from './sources.js'

/** A setting as docs/configuration.md shows it. */
function row(name: string, { parser, fallback, otherwise, description }: Setting<unknown>): string {
  const preset = fallback === undefined ? otherwise : fallback === '' ? 'none' : `\`${fallback}\``
  return `| \`${name}\` | ${preset} | ${parser.expected} | ${description} |`
}

describe('docs/configuration.md', () => {
  const page = readDocs('configuration.md')

  it('has the row of every setting, as the schema says it', () => {
    const rows = Object.entries<Setting<unknown>>(SETTINGS).map(([name, setting]) => row(name, setting))
    const shown = page.split('\n').filter(line => /^\| `[A-Z_]+` \| .* \| .* \| /.test(line))
    expect(shown).to.deep.equal(rows)
  })

  it('names the file with further settings', () => {
    expect(page).to.include(`\`${CONFIG_FILE}\``)
  })
})
