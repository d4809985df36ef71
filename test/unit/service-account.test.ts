import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { readServiceAccount } from '../../federation/push/service-account.js'

describe('a service account', () => {
  const file = join(tmpdir(), `account-${randomUUID()}.json`)
  after(() => rmSync(file, { force: true }))
  const format = { type: 'pkcs8', format: 'pem' } as const
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(format)
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(format)
  const valid = {
    project_id: 'a-project',
    client_email: 'node@a-project.iam.gserviceaccount.com',
    private_key: rsa,
    token_uri: 'https://oauth2.googleapis.com/token'
  }

  it('is read', () => {
    writeFileSync(file, JSON.stringify(valid))
    const { privateKey, ...account } = readServiceAccount(file)
    expect(account).to.deep.equal({
      projectId: valid.project_id,
      clientEmail: valid.client_email,
      tokenUrl: valid.token_uri
    })
    expect(privateKey.asymmetricKeyType).to.equal('rsa')
  })

  for (const [what, content, reason] of [
    ['no JSON', 'secret', 'is no JSON'],
    ['no object', '[]', 'has no project_id'],
    ['one with a path for a project', JSON.stringify({ ...valid, project_id: '../x' }), 'has no project_id'],
    ['one without a key', JSON.stringify({ ...valid, private_key: 'secret' }), 'no RSA key'],
    ['one with another kind of key', JSON.stringify({ ...valid, private_key: ec }), 'no RSA key'],
    ['one without an address for tokens', JSON.stringify({ ...valid, token_uri: 'x' }), 'has no token_uri']
  ] as const) {
    it(`that is ${what} is refused in one sentence without secrets`, () => {
      writeFileSync(file, content)
      expect(() => readServiceAccount(file))
        .to.throw(reason)
        .with.property('message')
        .that.does.not.contain('secret')
    })
  }

  it('that is not there is refused', () => {
    rmSync(file, { force: true })
    expect(() => readServiceAccount(file)).to.throw('cannot be read')
  })
})
