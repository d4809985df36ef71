const NAMES = ['log', 'info', 'warn', 'error'] as const

/** Runs what writes everything it does to the console, as stock clients do, without that. */
export async function silently<T>(work: () => Promise<T>): Promise<T> {
  const before = NAMES.map(name => [name, console[name]] as const)
  for (const name of NAMES) console[name] = () => undefined
  try {
    return await work()
  } finally {
    Object.assign(console, Object.fromEntries(before))
  }
}
