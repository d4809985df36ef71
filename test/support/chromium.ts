import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

/** A Chromium of this machine; undefined: there is none, and what needs one is skipped. */
export const CHROMIUM_PROGRAM = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap(folder => ['chromium', 'chromium-browser', 'google-chrome'].map(name => join(folder, name)))
  .find(existsSync)

/** Without a screen. Containers have no user namespaces and little shared memory. */
export function startChromium(): Promise<Browser> {
  if (CHROMIUM_PROGRAM === undefined) throw new Error('there is no Chromium on PATH')
  return chromium.launch({
    executablePath: CHROMIUM_PROGRAM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']
  })
}
