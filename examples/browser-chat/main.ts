import { PrivateKey } from '@bsv/sdk'
import { Conversation, type Line } from '../conversation.js'

/** Where this browser keeps the user's key. Fit for an example only: whoever has the browser has the key. */
const KEY_ITEM = 'peerserv example chat key'
const IDENTITY_KEY = /^0[23][0-9a-f]{64}$/

const state = element('state', HTMLParagraphElement)
const ownKey = element('own-key', HTMLInputElement)
const to = element('to', HTMLInputElement)
const lines = element('lines', HTMLOListElement)
const text = element('text', HTMLInputElement)

const chat = new Conversation(storedKey(), location.origin, show)
ownKey.value = chat.identityKey
to.value = new URLSearchParams(location.hash.slice(1)).get('to') ?? ''

element('copy', HTMLButtonElement).addEventListener('click', () => {
  ownKey.select()
  void navigator.clipboard?.writeText(chat.identityKey)
})
to.addEventListener('input', () => to.setCustomValidity(''))
element('compose', HTMLFormElement).addEventListener('submit', event => {
  event.preventDefault()
  void send()
})

try {
  await chat.open()
  tell(`connected to ${location.host}`)
} catch (error) {
  tell(`not connected: ${error instanceof Error ? error.message : error}`, true)
}

async function send(): Promise<void> {
  const recipient = to.value.trim().toLowerCase()
  if (!IDENTITY_KEY.test(recipient)) {
    to.setCustomValidity('An identity key has 66 hexadecimal digits and begins with 02 or 03.')
    to.reportValidity()
    return
  }
  const said = text.value.trim()
  if (said === '') return
  text.value = ''
  const item = add(said, 'own')
  try {
    await chat.send(recipient, said)
  } catch (error) {
    item.classList.add('failed')
    tell(`not sent: ${error instanceof Error ? error.message : error}`, true)
  }
}

function show({ sender, text }: Line): void {
  // Whoever writes first is answered.
  if (to.value === '') to.value = sender
  const item = add(text)
  if (sender !== to.value) {
    const name = document.createElement('small')
    name.textContent = sender
    item.prepend(name)
  }
}

/** As text: what others write is never markup. */
function add(text: string, ...classes: readonly string[]): HTMLLIElement {
  const item = document.createElement('li')
  item.textContent = text
  item.classList.add(...classes)
  lines.append(item)
  item.scrollIntoView()
  return item
}

function tell(text: string, isBad = false): void {
  state.textContent = text
  state.classList.toggle('bad', isBad)
}

function storedKey(): PrivateKey {
  const stored = localStorage.getItem(KEY_ITEM)
  if (stored !== null) return PrivateKey.fromHex(stored)
  const key = PrivateKey.fromRandom()
  localStorage.setItem(KEY_ITEM, key.toHex())
  return key
}

function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (!(found instanceof type)) throw new TypeError(`the page has no ${id}`)
  return found
}
