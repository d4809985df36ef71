import { once } from 'node:events'
import { connect } from 'node:net'

/*
 * Opens many connections to a server and sends a request on each of them, a letter at a time, without end; every tenth
 * falls silent after its first piece. In a process of its own, so that it takes no time from whom it asks.
 *
 * node dripping-client.js <port> <connections> <ms between letters>
 *
 * Says to its parent, when all are closed, what each was told: two lists, `silent` and `dripping`.
 */
process.on('disconnect', () => process.exit(1))

const [port, count, pause] = process.argv.slice(2).map(Number)
const drips = await Promise.all(Array.from({ length: count }, (_, i) => open(i % 10 === 0)))
for (const { socket } of drips) socket.write('POST /open HTTP/1.1\r\nhost: x\r\nx-drip: ')
const letter = setInterval(() => {
  for (const { socket, isSilent } of drips) if (!isSilent && socket.writable) socket.write('x')
}, pause)
await Promise.all(drips.map(({ closed }) => closed))
clearInterval(letter)
const told = silent => drips.filter(({ isSilent }) => isSilent === silent).map(({ received }) => received)
process.send({ silent: told(true), dripping: told(false) }, () => process.exit())

async function open(isSilent) {
  const socket = connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  const drip = { socket, isSilent, received: '', closed: new Promise(resolve => socket.on('close', resolve)) }
  socket.on('data', text => {
    drip.received += text
  })
  await once(socket, 'connect')
  // To be cut off is what this is about.
  socket.on('error', () => {})
  return drip
}
