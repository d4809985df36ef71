import { writeFileSync } from 'node:fs'
import { formatOriginVectors, originVectors } from './origin-vectors.js'

/** Writes test/vectors/origin-proofs.json: `node --import tsx test/support/write-origin-vectors.ts`. */
const file = new URL('../vectors/origin-proofs.json', import.meta.url)
writeFileSync(file, formatOriginVectors(originVectors()))
