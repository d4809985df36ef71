/** What must not stay behind when a run is interrupted, first opened first. */
const open: (() => Promise<void>)[] = []

/**
 * Remembers how to stop something that has just been started.
 *
 * @returns stops it, once; also in `cleanUp`, if nobody has by then
 */
export function keepTrack(stop: () => Promise<void>): () => Promise<void> {
  let stopped: Promise<void> | undefined
  const once = (): Promise<void> => {
    const index = open.indexOf(once)
    if (index >= 0) open.splice(index, 1)
    stopped ??= stop()
    return stopped
  }
  open.push(once)
  return once
}

/** Stops whatever still runs, last started first. */
export async function cleanUp(): Promise<void> {
  for (let stop = open.at(-1); stop !== undefined; stop = open.at(-1)) await stop().catch(() => undefined)
}
