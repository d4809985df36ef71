import { generateKeyPairSync, verify } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { OutboundDoorOptions } from '../../federation/channel/guarded-fetch.js'
import type { TestAuthority } from './certificates.js'
import { readWebToken } from './fake-web-push.js'
import { startTlsFront } from './tls-front.js'

const PROJECT = 'relay-test'
const EMAIL = 'node@relay-test.iam.gserviceaccount.com'
const TOKEN_HOST = 'oauth2.googleapis.com'
const FCM_HOST = 'fcm.googleapis.com'
const SCOPE = 'https://www.googleapis.com/auth/firebase.messaging'

/** The two services of Google that a push by FCM needs, under their own names. */
export interface FakeFcm {
  /** The `message` of each push. */
  readonly heard: Record<string, unknown>[]
  /** What was wrong with a call; empty if the node is right. */
  readonly faults: string[]
  /** Access tokens given. */
  readonly given: () => number
  /** How a push is answered instead of 200, until undefined; `errorCode` as in FcmError. */
  answer(answer: { readonly status: number; readonly errorCode?: string } | undefined): void
  /** No access token given before counts any more. */
  revoke(): void
  /** What a node must be started with to reach it. */
  readonly outbound: Partial<OutboundDoorOptions>
  close(): Promise<void>
}

/** @param accountFile where the service account is written */
export async function startFakeFcm(
  authority: TestAuthority,
  accountFile: string,
  now: () => number
): Promise<FakeFcm> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const account = {
    type: 'service_account',
    project_id: PROJECT,
    client_email: EMAIL,
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `https://${TOKEN_HOST}/token`
  }
  writeFileSync(accountFile, JSON.stringify(account), { mode: 0o600 })
  const heard: Record<string, unknown>[] = []
  const faults: string[] = []
  let given = 0
  let least = 1
  let scripted: { readonly status: number; readonly errorCode?: string } | undefined

  function grant(body: string): object {
    const form = new URLSearchParams(body)
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer')
      throw new Error('grant type')
    const { header, claims } = readWebToken(form.get('assertion') ?? '', (text, signature) =>
      verify('sha256', text, publicKey, signature)
    )
    if (header.alg !== 'RS256') throw new Error(`algorithm ${header.alg}`)
    const { iss, aud, scope, iat, exp } = claims
    if (iss !== EMAIL || aud !== account.token_uri || scope !== SCOPE) throw new Error(`claims ${body}`)
    if (Math.abs(Number(iat) - now() / 1000) > 60 || Number(exp) - Number(iat) > 3600)
      throw new Error('times')
    given += 1
    return { access_token: `access-${given}`, expires_in: 3599, token_type: 'Bearer' }
  }

  function take(authorization: string | undefined, body: string): { status: number; json: object } {
    const number = Number(/^Bearer access-(\d+)$/.exec(authorization ?? '')?.[1] ?? 0)
    if (number < least) return { status: 401, json: { error: { code: 401, status: 'UNAUTHENTICATED' } } }
    if (scripted !== undefined) {
      const { status, errorCode } = scripted
      const details = errorCode === undefined ? [] : [{ errorCode }]
      return { status, json: { error: { code: status, details } } }
    }
    const { message } = JSON.parse(body) as { message: Record<string, unknown> }
    heard.push(message)
    return { status: 200, json: { name: `projects/${PROJECT}/messages/${heard.length}` } }
  }

  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces).toString()
      const { host, authorization } = request.headers
      let answer: { status: number; json: object } = { status: 500, json: {} }
      try {
        const call = `${request.method} ${host}${request.url}`
        if (call === `POST ${TOKEN_HOST}/token`) answer = { status: 200, json: grant(body) }
        else if (call === `POST ${FCM_HOST}/v1/projects/${PROJECT}/messages:send`)
          answer = take(authorization, body)
        else throw new Error(call)
      } catch (error) {
        faults.push(String(error))
      }
      const headers = { 'content-type': 'application/json' }
      response.writeHead(answer.status, headers).end(JSON.stringify(answer.json))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const front = await startTlsFront(
    (server.address() as AddressInfo).port,
    authority.issue(TOKEN_HOST, FCM_HOST)
  )
  return {
    heard,
    faults,
    given: () => given,
    answer(answer) {
      scripted = answer
    },
    revoke() {
      least = given + 1
    },
    outbound: {
      ca: authority.ca,
      resolver: async hostname => (hostname.endsWith('.googleapis.com') ? ['142.250.74.74'] : ['127.0.0.1']),
      connector: ({ port, addresses }) =>
        connect(addresses[0] === '127.0.0.1' ? port : front.port, '127.0.0.1')
    },
    async close() {
      await front.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}
