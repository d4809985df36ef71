// `npm start`, `npm run mesh`: sets up what is missing and becomes the program, in this very process, so that signals
// reach it. The command and its arguments stay in process.argv.
import { setUpOrExit } from './set-up.js'

setUpOrExit()
await import('../dist/src/main.js')
