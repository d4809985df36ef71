/** What of the legacy client is used here; it comes without types. */
declare module 'authrite-js' {
  interface AuthriteAnswer {
    readonly status: number
    json(): Promise<Record<string, unknown>>
  }

  export class Authrite {
    constructor(options: { clientPrivateKey: string })
    request(
      url: string,
      config?: { method?: string; body?: unknown; headers?: Record<string, string> }
    ): Promise<AuthriteAnswer>
    connect(url: string, config?: object): Promise<Authrite>
    on(event: string, callback: (data: never) => void): void
    emit(event: string, data: unknown): Promise<void>
    disconnect(): void
    readonly clientPublicKey: string
    readonly servers: Record<string, { nonce: string }>
  }
}
