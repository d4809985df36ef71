import { loadCurve } from '../curve/load.js'

/** A command is a process of its own, so one curve for all of it. */
export const curve = loadCurve()
