import type { Configuration } from '../config.js'
import type { NodeProcess } from '../node.js'
import type { Introduction } from './summary.js'

/** What a process of a node is to run; its first order. With secrets: it goes through the channel between the two only. */
export interface Work extends NodeProcess {
  readonly configuration: Configuration
}

/** What the supervisor says to a process. */
export type Order = Work | 'stop'

/** What a process says to its supervisor first: it listens. What was said to it before is lost in node:cluster. */
export const LISTENING = 'listening'

/** What it says then, once: it runs, or why it does not. */
export type Report =
  | { readonly introduction: Introduction }
  | { readonly isStartError: boolean; readonly message: string; readonly stack: string | undefined }
