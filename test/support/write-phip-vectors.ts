import { writeFileSync } from 'node:fs'
import { phipVectors } from './phip-variants.js'

/** Writes test/vectors/phip-tokens.json: `node --import tsx test/support/write-phip-vectors.ts`. */
const file = new URL('../vectors/phip-tokens.json', import.meta.url)
writeFileSync(file, `${JSON.stringify(phipVectors(), undefined, 1)}\n`)
