#!/usr/bin/env node
import { setUpOrExit } from '../scripts/set-up.js'

setUpOrExit()
await import('../dist/src/main.js')
