import http from 'node:http'

export interface ServerEvent {
  readonly event: string
  readonly id: string
  readonly data: string
}

/** Reads Server-Sent Events, one after the other. */
export class TestEventSource {
  readonly #request: http.ClientRequest
  readonly #events: ServerEvent[] = []
  readonly #waiting: ((event: ServerEvent) => void)[] = []
  readonly #response: Promise<http.IncomingMessage>
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>

  constructor(url: string) {
    this.#request = http.get(url, { agent: false })
    this.#response = new Promise((resolve, reject) => {
      this.#request.once('response', resolve).once('error', reject)
    })
    this.ended = this.#response.then(response => this.#read(response))
  }

  /** Of the answer. */
  async status(): Promise<number> {
    return (await this.#response).statusCode ?? 0
  }

  next(): Promise<ServerEvent> {
    const event = this.#events.shift()
    return event === undefined ? new Promise(resolve => this.#waiting.push(resolve)) : Promise.resolve(event)
  }

  close(): void {
    this.#request.destroy()
  }

  #read(response: http.IncomingMessage): Promise<void> {
    let text = ''
    response.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#take(text.slice(0, end))
        text = text.slice(end + 2)
      }
    })
    return new Promise(resolve => response.once('close', resolve))
  }

  #take(block: string): void {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
    if (field('event') === '') return
    const event = { event: field('event'), id: field('id'), data: field('data') }
    const wake = this.#waiting.shift()
    if (wake === undefined) this.#events.push(event)
    else wake(event)
  }
}
