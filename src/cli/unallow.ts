import { removeCommand } from './operator-list.js'

export const unallow = removeCommand('allow')
