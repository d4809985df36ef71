import { onSignals } from '../lifecycle.js'
import { LISTENING, type Order, type Work } from './process-channel.js'

/*
 * One process of a node that runs as several, started by supervised-process.ts. It ends at once when its supervisor is gone:
 * node:cluster sees to that.
 */
const { ordered, stopped } = listenToSupervisor()
// Loading takes a while, in which a signal to all must not end this process before its time.
const { runProcess } = await import('./run-process.js')
process.exit(await runProcess(await ordered, stopped))

function listenToSupervisor(): { ordered: Promise<Work>; stopped: Promise<void> } {
  let begin: (work: Work) => void
  let end: () => void
  const ordered = new Promise<Work>(resolve => {
    begin = resolve
  })
  const stopped = new Promise<void>(resolve => {
    end = resolve
  })
  process.on('message', (order: Order) => (order === 'stop' ? end() : begin(order)))
  // Ctrl-c in a terminal reaches all processes; to this one alone a signal means that it is to be replaced.
  onSignals(() => end())
  process.send!(LISTENING)
  return { ordered, stopped }
}
