import { ATTACKS, startAttack } from './hostile-attacks.js'

/*
 * A process of its own for what attacks: in that of the honest users it would hold up their clocks.
 * Arguments: the attack and the node's URL. Says "started"; told anything, it stops and says how much there was.
 */
const [name, url = ''] = process.argv.slice(2)
const attackName = ATTACKS.find(known => known === name)
if (attackName === undefined || process.send === undefined)
  throw new Error('started by bench/hostile.ts only')

const attack = await startAttack(attackName, url)
process.send('started')
process.once('message', () => {
  void attack.stop().then(count => {
    process.send?.(count)
    process.disconnect()
  })
})
process.once('disconnect', () => process.exit())
