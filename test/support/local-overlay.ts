/** Where the stock clients' preset `local` looks for an overlay host, and nowhere else. */
const LOCAL_HOST = 'http://localhost:8080'
const LOOPBACK = /^https?:\/\/(?:localhost|127\.0\.0\.1)(?::\d+)?$/
/** What the built-in fetch sends by; undici's own, shared by all its copies. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1')

interface Dispatcher {
  dispatch(options: { readonly origin?: string | URL }, handler: unknown): boolean
}

/**
 * Lets this process' fetch find a node where the preset `local` looks: many tests run at once, and there is one port
 * 8080. What would leave this machine comes to the node as well: some clients ask the overlay of `mainnet` whatever they
 * are told. Everything else goes where it says.
 *
 * @param url of the node
 * @returns puts things back
 */
export async function standInForLocalHost(url: string): Promise<() => void> {
  // The dispatcher is there once it has been used.
  await fetch(url)
  const original = Reflect.get(globalThis, DISPATCHER) as Dispatcher
  const redirecting: Dispatcher = {
    dispatch(options, handler) {
      const origin = String(options.origin)
      const goesOn = origin !== LOCAL_HOST && LOOPBACK.test(origin)
      return original.dispatch(goesOn ? options : { ...options, origin: url }, handler)
    }
  }
  Reflect.set(globalThis, DISPATCHER, redirecting)
  return () => void Reflect.set(globalThis, DISPATCHER, original)
}
