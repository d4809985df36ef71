import { randomUUID } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { parseDomain } from '../../federation/phip/domain.js'
import { type Configuration, ConfigurationError, readConfiguration } from '../../src/config.js'
import { SETTINGS } from '../../src/config-schema.js'

type Environment = Record<string, string>

const KEY = '11'.repeat(32)

function problemsOf(environment: Environment): readonly string[] {
  try {
    readConfiguration(environment)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems
    throw error
  }
  return []
}

describe('configuration', () => {
  const files: string[] = []

  function withFile(text: string, mode = 0o600, environment: Environment = {}): Environment {
    const file = join(tmpdir(), `peerserv-config-${randomUUID()}`)
    files.push(file)
    writeFileSync(file, text, { mode })
    return { ...environment, CONFIG_FILE: file }
  }

  after(() => {
    for (const file of files) rmSync(file)
  })

  it('needs nothing', () => {
    const { config, secrets, warnings } = readConfiguration({
      PATH: '/bin',
      HOME: '/root',
      NODE: '/bin/node'
    })
    expect(config).to.deep.equal({
      host: '127.0.0.1',
      port: 8080,
      adminPort: 9080,
      processes: 1,
      processPorts: undefined,
      dataDirectory: resolve('data'),
      network: 'local',
      publicDomain: 'localhost:8080',
      peers: [],
      role: 'all',
      logLevel: 'info',
      trustedProxies: [],
      drainMilliseconds: 2000,
      giveUpMilliseconds: 604_800_000,
      databaseConnections: 20,
      deliveryFees: new Map([['notifications', 10]]),
      prices: new Map(),
      push: { contact: undefined, serviceAccountFile: undefined, messageBoxes: ['notifications'] },
      servesExamples: false,
      limits: {
        requestBytes: 16 * 1024 * 1024,
        messageBodyBytes: 1024 * 1024,
        listMessages: 1000,
        listBytes: 8 * 1024 * 1024,
        recipientsPerSend: 100,
        messagesPerRecipient: 10_000_000,
        bytesPerRecipient: 1000 * 1024 ** 3,
        messagesPerSender: 1_000_000,
        boxesPerRecipient: 1_000,
        devicesPerRecipient: 20,
        sealedMessagesPerRecipient: 5_000_000,
        sealedMessagesPerHost: 1_000_000,
        timeToLive: 30 * 24 * 60 * 60,
        tokensPerDay: 1_000_000,
        withdrawalsPerDay: 1_000_000,
        rates: { address: 600_000, identity: 1_000_000, peer: 6_000_000, pair: 120_000 },
        connections: { total: 10_000, perAddress: 500_000 }
      }
    })
    expect(secrets).to.deep.equal({
      privateKey: undefined,
      privateKeyFile: undefined,
      databaseUrl: undefined,
      redisUrl: undefined,
      walletUrl: undefined
    })
    expect(warnings).to.deep.equal([])
  })

  it('takes every setting', () => {
    const { config, secrets, warnings } = readConfiguration({
      PORT: '1',
      HOST: '::1',
      PROCESSES: '3',
      PROCESS_PORTS: '4',
      ADMIN_PORT: '2',
      DATA_DIR: '/var/data',
      DATABASE_URL: 'postgres://u:p@/d?host=/run',
      DATABASE_CONNECTIONS: '5',
      REDIS_URL: 'rediss://h:1',
      WALLET_URL: 'https://w:1/path',
      PRICES: '/a=1, /b = 2',
      NETWORK: 'main',
      TRUSTED_PROXIES: '10.0.0.0/8, ::1',
      PUBLIC_DOMAIN: 'relay.example.org',
      PEERS: 'https://a.example/,https://b.example:444/overlay',
      ROLE: 'worker',
      LOG_LEVEL: 'debug',
      SERVER_PRIVATE_KEY: KEY,
      DRAIN_SECONDS: '0.5',
      DELIVERY_FEES: 'notifications = 5, a=b c=0',
      LIMIT_REQUEST_BYTES: '2MiB',
      LIMIT_BODY_BYTES: '1025',
      LIMIT_LIST_MESSAGES: '3',
      LIMIT_LIST_BYTES: '4KiB',
      LIMIT_RECIPIENTS: '5',
      LIMIT_RECIPIENT_MESSAGES: '6',
      LIMIT_RECIPIENT_BYTES: '7GiB',
      LIMIT_SENDER_MESSAGES: '61',
      LIMIT_RECIPIENT_BOXES: '62',
      LIMIT_DEVICES: '65',
      LIMIT_SEALED_MESSAGES: '63',
      LIMIT_SEALED_HOST_MESSAGES: '64',
      LIMIT_TIME_TO_LIVE: '80',
      LIMIT_DAILY_TOKENS: '13',
      LIMIT_DAILY_WITHDRAWALS: '14',
      LIMIT_RATE_ADDRESS: '9',
      LIMIT_RATE_IDENTITY: '10',
      LIMIT_RATE_PEER: '11',
      LIMIT_RATE_PAIR: '12',
      LIMIT_CONNECTIONS: '15',
      LIMIT_CONNECTIONS_ADDRESS: '16'
    })
    expect(config).to.deep.include({
      port: 1,
      host: '::1',
      processes: 3,
      processPorts: 4,
      adminPort: 2,
      dataDirectory: '/var/data',
      databaseConnections: 5,
      network: 'main',
      trustedProxies: ['10.0.0.0/8', '::1'],
      publicDomain: 'relay.example.org',
      peers: ['https://a.example', 'https://b.example:444/overlay'],
      role: 'worker',
      logLevel: 'debug',
      drainMilliseconds: 500,
      deliveryFees: new Map([
        ['notifications', 5],
        ['a=b c', 0]
      ]),
      prices: new Map([
        ['/a', 1],
        ['/b', 2]
      ])
    })
    const { rates, connections, ...limits } = config.limits
    expect(connections).to.deep.equal({ total: 15, perAddress: 16 })
    expect(Object.values(limits)).to.deep.equal([
      2 ** 21,
      1025,
      3,
      4096,
      5,
      6,
      7 * 2 ** 30,
      61,
      62,
      65,
      63,
      64,
      80,
      13,
      14
    ])
    expect(rates).to.deep.equal({ address: 9, identity: 10, peer: 11, pair: 12 })
    expect(secrets.privateKey).to.deep.equal(Buffer.from(KEY, 'hex'))
    expect([secrets.walletUrl, secrets.databaseUrl, secrets.redisUrl]).to.deep.equal([
      'https://w:1/path',
      'postgres://u:p@/d?host=/run',
      'rediss://h:1'
    ])
    expect(warnings).to.deep.equal([])
  })

  it('bounds boxes and rates more tightly where strangers write', () => {
    const { limits } = readConfiguration({ NETWORK: 'test', PUBLIC_DOMAIN: 'a.example' }).config
    expect(limits).to.include({
      messagesPerRecipient: 10_000,
      bytesPerRecipient: 2 ** 30,
      messagesPerSender: 1_000,
      boxesPerRecipient: 1_000,
      sealedMessagesPerRecipient: 5_000,
      sealedMessagesPerHost: 1_000
    })
    expect(limits.rates).to.deep.equal({ address: 600, identity: 1_000, peer: 6_000, pair: 120 })
  })

  it('cannot be changed later', () => {
    const { config } = readConfiguration({})
    for (const part of [config, config.limits, config.limits.rates, config.peers, config.trustedProxies]) {
      expect(part).to.be.frozen
    }
  })

  it('has room for the ports of all processes', () => {
    const environment = { PORT: '8101', PROCESSES: '3', ADMIN_PORT: '65534' }
    expect(problemsOf({ ...environment, PROCESS_PORTS: '8100' })).to.deep.equal([
      'ADMIN_PORT is 65534; for PROCESSES 3 it may be 65533 at most',
      'PROCESS_PORTS is 8100; from there on PROCESSES 3 take PORT (8101) too'
    ])
    expect(readConfiguration({ PORT: '64535', PROCESSES: '3' }).config.adminPort).to.equal(63_535)
  })

  it('lists every problem at once, with what was set and what is possible', () => {
    const problems = problemsOf({
      PORT: '80x',
      ROLE: 'master',
      HOST: 'http://here',
      PUBLIC_DOMAIN: 'Relay.example.org',
      PEERS: 'https://ok.example,ftp://a.example',
      TRUSTED_PROXIES: '10.0.0.0/33',
      DRAIN_SECONDS: '-1',
      DELIVERY_FEES: 'inbox=1,inbox=2',
      PRICES: 'sendMessage=1',
      WALLET_URL: 'ftp://wallet',
      LIMIT_REQUEST_BYTES: '16MB',
      LIMIT_RECIPIENTS: '0'
    })
    expect(problems.map(problem => problem.split(' ')[0])).to.have.members([
      'PORT',
      'ROLE',
      'HOST',
      'PUBLIC_DOMAIN',
      'PEERS',
      'TRUSTED_PROXIES',
      'DELIVERY_FEES',
      'PRICES',
      'WALLET_URL',
      'DRAIN_SECONDS',
      'LIMIT_REQUEST_BYTES',
      'LIMIT_RECIPIENTS'
    ])
    expect(problems).to.include('PORT is "80x"; it may be a whole number from 0 to 65535')
    expect(problems).to.include('ROLE is "master"; it may be all, api, worker')
    const error = new ConfigurationError(problems)
    expect(error.message.split('\n')).to.have.length(13)
  })

  it('shows no secret, wherever it was put wrongly', () => {
    const problems = problemsOf(
      withFile(`SERVER_PRIVATE_KEY=${KEY}secret\nfile-secret ${KEY}`, 0o600, {
        DATABASE_URL: 'mysql://user:hidden@host/d',
        REDIS_URL: 'redis//:hidden@host'
      })
    )
    expect(problems).to.have.length(4)
    expect(problems.join()).not.to.match(/hidden|secret|1111/)
    expect(problems.join()).to.contain('DATABASE_URL is set (not shown here); it may be a URL like')
  })

  const contradictions: [string, Environment, RegExp][] = [
    ['no domain on main', { NETWORK: 'main' }, /^PUBLIC_DOMAIN is not set; NETWORK main needs/],
    ['a port on private', { NETWORK: 'private', PUBLIC_DOMAIN: 'a.example:444' }, /^PUBLIC_DOMAIN .* port/],
    ['a name without dot', { NETWORK: 'test', PUBLIC_DOMAIN: 'localhost' }, /^PUBLIC_DOMAIN .* one dot/],
    ['an address', { NETWORK: 'test', PUBLIC_DOMAIN: '127.0.0.1' }, /^PUBLIC_DOMAIN .* name/],
    [
      'http peers on main',
      { NETWORK: 'main', PUBLIC_DOMAIN: 'a.example', PEERS: 'http://b.example' },
      /^PEERS has "http:\/\/b.example".* https only/
    ],
    [
      'two keys',
      { SERVER_PRIVATE_KEY: KEY, SERVER_PRIVATE_KEY_FILE: '/key' },
      /^SERVER_PRIVATE_KEY is set, and/
    ],
    ['a body larger than requests', { LIMIT_BODY_BYTES: '17MiB' }, /^LIMIT_BODY_BYTES .* more than/]
  ]
  for (const [what, environment, expected] of contradictions) {
    it(`refuses ${what}`, () => {
      const problems = problemsOf(environment)
      expect(problems).to.have.length(1)
      expect(problems[0]).to.match(expected)
    })
  }

  it('admits as domain exactly what PHIP tokens admit', () => {
    const names = [
      'a.example',
      'A.example',
      'localhost',
      'a',
      'a.example.',
      'a..b',
      '-a.b',
      'a-.b',
      'a_b.c',
      ''
    ]
    names.push(
      '1.2.3.4',
      '127.0.0.1',
      '127.1',
      '127.0.0.01',
      '0x7f.1',
      'a.0x',
      'a.1',
      '[::1]',
      'https://a.b',
      'a.b/c'
    )
    names.push(
      'xn--a.b',
      'xn--mnchen-3ya.de',
      'münchen.de',
      'u@a.b',
      `${'a'.repeat(64)}.b`,
      `${'a.'.repeat(126)}ab`
    )
    for (const network of ['local', 'main'] as const) {
      for (const domain of names.flatMap(name => [name, `${name}:8080`, `${name}:0`, `${name}:65536`])) {
        const admitted = domain !== '' && problemsOf({ NETWORK: network, PUBLIC_DOMAIN: domain }).length === 0
        expect([network, domain, admitted]).to.deep.equal([network, domain, parseDomain(domain, network).ok])
      }
    }
  })

  describe('names', () => {
    const mistyped: [string, string][] = [
      ['POTR', 'PORT'],
      ['PEER', 'PEERS'],
      ['DATABSE_URL', 'DATABASE_URL'],
      ['DATADIR', 'DATA_DIR'],
      ['database_url', 'DATABASE_URL'],
      ['LIMIT_REQUESTS_BYTES', 'LIMIT_REQUEST_BYTES'],
      ['CONFIG_FILES', 'CONFIG_FILE']
    ]
    for (const [wrong, right] of mistyped) {
      it(`warns of ${wrong}`, () => {
        const { warnings } = readConfiguration({ [wrong]: 'x' })
        expect(warnings).to.deep.equal([`${wrong} is set and means nothing; ${right} is meant?`])
      })
    }

    it('of others are left alone', () => {
      const others = [
        'HOME',
        'NODE',
        'PATH',
        'USER',
        'TERM',
        'LANG',
        'HOSTNAME',
        'SHELL',
        'COLOR',
        'EDITOR',
        'POST_X'
      ]
      expect(readConfiguration(Object.fromEntries(others.map(name => [name, 'x']))).warnings).to.deep.equal(
        []
      )
    })
  })

  describe('file', () => {
    it('holds settings, which the environment overrides; an empty text is no setting', () => {
      const text = '# comment\n\nPORT=1000\r\n NETWORK = "private" \nPUBLIC_DOMAIN=a.example\nROLE=\n'
      const { config, warnings } = readConfiguration(withFile(text, 0o644, { PORT: '2000', NETWORK: '' }))
      expect([config.port, config.network, config.role]).to.deep.equal([2000, 'private', 'all'])
      expect(warnings).to.deep.equal([])
    })

    it('may not be missing, set a name twice, or hold anything else', () => {
      expect(problemsOf({ CONFIG_FILE: '/none' })).to.deep.equal([
        'CONFIG_FILE is "/none", which cannot be read (ENOENT)'
      ])
      const environment = withFile('PORT=1\nPORT=2\nnonsense')
      expect(problemsOf(environment)).to.deep.equal([
        `line 2 of ${environment.CONFIG_FILE} sets PORT a second time`,
        `line 3 of ${environment.CONFIG_FILE} is no NAME=value`
      ])
    })

    it('is warned about if others may read a secret in it, or a name is unknown', () => {
      const read = (text: string, mode: number): Configuration => readConfiguration(withFile(text, mode))
      const secret = `SERVER_PRIVATE_KEY=${KEY}`
      expect(read(secret, 0o600).warnings).to.deep.equal([])
      expect(read(secret, 0o640).warnings[0]).to.match(/holds SERVER_PRIVATE_KEY and others may read it/)
      expect(read('SOMETHING_ELSE=1', 0o600).warnings[0]).to.match(
        /line 1 of .* sets SOMETHING_ELSE, which is unknown/
      )
    })
  })

  it('describes every setting', () => {
    for (const [name, setting] of Object.entries(SETTINGS)) {
      expect(setting.description, name).to.match(/^.{10,}\.$/)
      expect(setting.parser.expected, name).not.to.equal('')
      expect(setting.fallback ?? setting.otherwise, name).to.be.a('string')
    }
  })
})
