import type { Curve } from './curve.js'
import { NativeCurve } from './native.js'
import { WebAssemblyCurve } from './webassembly.js'

/**
 * The fastest implementation that runs here: native where its addon loads, otherwise WebAssembly.
 *
 * @param preference only for tests: take this one, or throw an Error where it is not available
 */
export function loadCurve(preference?: Curve['name']): Curve {
  if (preference === 'webassembly') return new WebAssemblyCurve()
  try {
    return new NativeCurve()
  } catch (cause) {
    if (preference === 'native') {
      throw new Error('the native secp256k1 addon does not load on this platform', { cause })
    }
    return new WebAssemblyCurve()
  }
}
