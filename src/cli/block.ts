import { addCommand } from './operator-list.js'

export const block = addCommand('block')
