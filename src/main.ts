import { runCommandLine } from './cli/run.js'

const { argv, env, stdout, stderr } = process

// Whoever reads us may have had enough, as `head` has: no reason to drop what runs, least of all a node.
stdout.on('error', () => undefined)

process.exitCode = await runCommandLine(argv.slice(2), env, { out: stdout, err: stderr })
