import type { Fault, FaultMesh } from './fault-mesh.js'
import { until } from './nodes.js'

/*
 * Faults that break a node in which one thing was forgotten, each with certainty. Tests of the product and tests of the
 * oracle share them.
 */

const pending = (mesh: FaultMesh) =>
  mesh.host('one').count(`select count(*) as n from deliveries where state = 'pending'`)

/** The API dies with requests under way and others just answered. */
export const API_KILLED: Fault = {
  at: 80,
  description: 'kill the API of one',
  async act(mesh) {
    const { api } = mesh.host('one')
    await api.kill()
    await api.start()
  }
}

/** The worker dies with calls under way that never arrive. */
export const WORKER_KILLED: Fault = {
  at: 40,
  description: 'kill the worker of one while it calls two',
  async act(mesh) {
    const worker = mesh.host('one').worker!
    await duringCalls(mesh, () => worker.kill())
    await worker.start()
  }
}

/**
 * The worker stands still with calls under way that never arrive; when its claims have run out another one does their
 * work; then it comes back, finds that its calls have failed, and says so.
 */
export const WORKER_FROZEN: Fault = {
  at: 40,
  description: 'freeze the worker of one while it calls two, beyond its claims',
  async act(mesh) {
    const host = mesh.host('one')
    const another = host.anotherWorker()
    try {
      await duringCalls(mesh, async () => host.worker!.freeze())
      await another.start()
      await until(
        () => pending(mesh),
        n => n === 0
      )
      host.worker!.thaw()
      // Everything that it has to say is said when it has stopped in order.
      await host.worker!.terminate()
      await host.worker!.start()
    } finally {
      host.worker!.thaw()
      await another.kill()
    }
  }
}

/** The second host takes messages, and its answers do not arrive. */
export const ANSWERS_LOST: readonly Fault[] = [
  {
    at: 40,
    description: 'reset connections to two before every third answer',
    act: mesh => mesh.host('two').proxy.switch('reset-after-request', { every: 3 })
  },
  { at: 130, description: 'two is reached again', act: mesh => mesh.host('two').proxy.switch('pass') }
]

/** Lets calls of other hosts to the second one hang, and calls `then` when one does. */
async function duringCalls(mesh: FaultMesh, then: () => Promise<void>): Promise<void> {
  const { proxy } = mesh.host('two')
  const hanging = new Promise<void>(resolve => {
    proxy.onSwallowed = chunk => {
      if (chunk.includes('POST /propagateMessage ')) resolve()
    }
  })
  await proxy.switch('black-hole')
  await hanging
  proxy.onSwallowed = undefined
  await then()
  await proxy.switch('pass')
}
