import { MESSAGEBOX_SERVICE, MESSAGEBOX_TOPIC, PHIP_SERVICE, PHIP_TOPIC } from './topics.js'

/** What overlay hosts tell about a topic manager or a lookup service. */
export interface ServiceDescription {
  readonly name: string
  readonly shortDescription: string
  readonly version: string
  readonly documentation: string
}

const VERSION = '1'

export const TOPIC_DESCRIPTION: ServiceDescription = {
  name: PHIP_TOPIC,
  shortDescription: 'PHIP tokens: which host takes messages for which recipient (BRC-34).',
  version: VERSION,
  documentation: `# ${PHIP_TOPIC}

Admits two kinds of outputs, both PushDrop (BRC-48), of one satoshi or more:

1. **PHIP tokens** (BRC-34): \`PHIP\`, operator key, domain, recipient key, recipient signature, optional box
   expression, signature over the fields. Keys are 33 bytes, signatures DER. Locked to the operator's key
   \`2-phip-1\` for *anyone*; \`2-PHIP-1\` is read too. The recipient signs
   \`<operator key> <domain> <box expression or ALL>\` under \`[1, 'phip authorization']\`, key id \`1\`, for *anyone*.
2. **Withdrawals**: \`PHIP-WITHDRAWN\`, recipient key, the text of the authorization, the recipient's signature over
   it under \`[1, 'phip withdrawal']\`. Locked to the recipient's key \`1-phip withdrawal-1\`. Admitted once for each
   text, and only if a valid token with that text was seen. While it is unspent, every token of this recipient with
   this text is void.

Nothing is retained: a spent output leaves the topic.
`
}

export const SERVICE_DESCRIPTION: ServiceDescription = {
  name: PHIP_SERVICE,
  shortDescription: 'Finds the hosts that take messages for a recipient (BRC-34).',
  version: VERSION,
  documentation: `# ${PHIP_SERVICE}

Answers \`output-list\`, newest first, at most 100 tokens. Queries:

- \`{"recipient": "<identity key>"}\`, or \`user\`: the recipient's live tokens, then his unspent withdrawals.
- \`{"operator": "<identity key>"}\`: the operator's unspent tokens.
- \`{"operator": "<identity key>", "outpoints": ["<txid>.<index>", …]}\`: those of at most 100 outpoints that are
  unspent tokens of the operator, each as a BEEF that holds nothing but the id (BRC-96).
- \`{"outpoints": ["<txid>.<index>", …]}\`: those of at most 100 outpoints that are unspent here, with their transactions, as
  many as fit: what a host that has far to catch up asks for.

Verify what you get: an answer is a claim of the host that gives it.
`
}

export const MESSAGEBOX_TOPIC_DESCRIPTION: ServiceDescription = {
  name: MESSAGEBOX_TOPIC,
  shortDescription: 'Host advertisements: where somebody reads his message boxes.',
  version: VERSION,
  documentation: `# ${MESSAGEBOX_TOPIC}

Admits PushDrop outputs (BRC-48) of one satoshi or more with three fields: identity key (33 bytes), host, and the
identity's signature over both under \`[1, 'messagebox advertisement']\`, key id \`1\`, for *anyone*. It is what
\`anointHost\` of @bsv/message-box-client makes. Beside the signature these are checked:

- the lock is the identity's own key of that protocol, so that nobody else can spend the output;
- the host is an \`https:\` URL of at most 256 printable characters with a domain name, perhaps a port and a path;
- at most four unspent outputs of one identity for one host: anybody can copy what it has signed.

Nothing is retained: a spent output leaves the topic.
`
}

export const MESSAGEBOX_SERVICE_DESCRIPTION: ServiceDescription = {
  name: MESSAGEBOX_SERVICE,
  shortDescription: 'Finds the hosts at which somebody reads his message boxes.',
  version: VERSION,
  documentation: `# ${MESSAGEBOX_SERVICE}

Answers \`output-list\`: one unspent advertisement for each host, at most 16, the host named last first. Queries:

- \`{"identityKey": "<identity key>"}\`, with \`"host": "<URL>"\` that host only.
- \`{"outpoints": ["<txid>.<index>", …]}\`: those of at most 100 outpoints that are unspent here.

A host is as old as the first advertisement that named it, however often that is copied; an advertisement in a
transaction that spends another one of the same identity is new.

Verify what you get: an answer is a claim of the host that gives it.
`
}

export const SHIP_DESCRIPTION: ServiceDescription = {
  name: 'ls_ship',
  shortDescription: 'Names this host as one that takes transactions of its topics (BRC-88).',
  version: VERSION,
  documentation: '# ls_ship\n\nAnswers `{"topics": […]}` with the SHIP tokens of this host alone.\n'
}

export const SLAP_DESCRIPTION: ServiceDescription = {
  name: 'ls_slap',
  shortDescription: 'Names this host as one that answers its lookup services (BRC-88).',
  version: VERSION,
  documentation: '# ls_slap\n\nAnswers `{"service": …}` with the SLAP tokens of this host alone.\n'
}
