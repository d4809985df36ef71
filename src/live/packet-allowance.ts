/** A minute: answers to pings, and what a client of socket.io says when it connects. */
const OTHER_PACKETS = 100
const WINDOW_MILLISECONDS = 60_000

/**
 * Bounds what a socket sends besides messages under its protocol: those are counted in the rates, but every other packet would be
 * parsed for nothing, as fast as the line is.
 */
export class PacketAllowance {
  #begin = performance.now()
  #others = 0

  /** @returns false for one too many */
  packet(): boolean {
    const now = performance.now()
    if (now - this.#begin >= WINDOW_MILLISECONDS) {
      this.#begin = now
      this.#others = 0
    }
    return ++this.#others <= OTHER_PACKETS
  }

  /** The packet was such a message. */
  wasMessage(): void {
    this.#others--
  }
}
