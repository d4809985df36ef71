import { addCommand } from './operator-list.js'

export const allow = addCommand('allow')
