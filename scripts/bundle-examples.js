// Puts what the page under /examples/chat consists of into dist/examples/browser-chat, the stock client bundled in.
import { join } from 'node:path'
import { build } from 'esbuild'

const BUNDLE = join('examples', 'browser-chat')
const ROOT = join(import.meta.dirname, '..')

await build({
  absWorkingDir: ROOT,
  entryPoints: ['main.ts', 'index.html', 'style.css'].map(name => join(BUNDLE, name)),
  outdir: join('dist', BUNDLE),
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  legalComments: 'inline',
  loader: { '.html': 'copy', '.css': 'copy' }
})
