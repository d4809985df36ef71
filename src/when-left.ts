import type { ServerResponse } from 'node:http'

/**
 * Calls back once, when an answer is over or nobody is left to read it; at once if that is so already.
 *
 * Node tells an answer that its connection is gone only while it is its turn: of requests that a client has sent all at
 * once (pipelining), those that wait behind another answer hear nothing.
 */
export function whenLeft(response: ServerResponse, listener: () => void): void {
  const { socket } = response.req
  if (response.destroyed || socket.destroyed) {
    listener()
    return
  }
  let hasLeft = false
  const left = (): void => {
    // The connection's end is told to both: whoever is being told already is told all the same.
    if (hasLeft) return
    hasLeft = true
    response.off('close', left)
    socket.off('close', left)
    listener()
  }
  response.once('close', left)
  // As many as requests are under way on this connection, which the rates bound.
  socket.setMaxListeners(0).once('close', left)
}
