import { removeCommand } from './operator-list.js'

export const unblock = removeCommand('block')
