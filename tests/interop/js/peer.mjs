// A live RLPx peer for the interop tests: the devp2p stack of EthereumJS with a
// bare `shh` protocol on top, driven by JSON lines on stdin and stdout (see
// ../README.md). It knows no Whisper beyond the Status packet: payloads go in
// and out as they are, which is what tests of single packets want.

import { RLPx, genPrivateKey } from '@ethereumjs/devp2p'
import { keccak256 } from 'ethereum-cryptography/keccak.js'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import * as snappy from 'snappyjs'

// [6, minimum PoW 0, no bloom filter, not light, confirmations, [0, 0, 0]]:
// the six items that Status nodes send.
const FULL_NODE_STATUS = '0xc906808080' + '01' + 'c3808080'

const { values: options } = parseArgs({
  options: {
    key: { type: 'string' },
    status: { type: 'string', default: FULL_NODE_STATUS },
  },
})

const emit = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex')
const bytes = (text) => {
  if (typeof text !== 'string' || !/^0x([0-9a-f]{2})*$/i.test(text)) throw new Error(`not 0x hex: ${text}`)
  return new Uint8Array(Buffer.from(text.slice(2), 'hex'))
}
const nodeId = (publicKey) => hex(keccak256(publicKey))

const STATUS = 0
const connections = new Map() // node id -> Shh

// One connection. The library makes it when both Hellos agree on shh/6.
// It is no subclass of the library's Protocol, which would hang up after five
// seconds unless it is told of a Status packet of an Ethereum chain.
class Shh {
  constructor(version, peer, send) {
    this.peer = peer
    this.sendFrame = send
    const hello = peer.getHelloMessage()
    this.id = nodeId(hello.id)
    this.snappy = hello.protocolVersion >= 5
    emit('hello', {
      peer: this.id,
      client: hello.clientId,
      version: hello.protocolVersion,
      caps: hello.capabilities.map((c) => `${c.name}/${c.version}`),
    })
  }

  // Compression is the subprotocol's business on the way out ...
  send(code, payload) {
    this.sendFrame(code, this.snappy ? snappy.compress(payload) : payload)
  }

  // ... and the library's on the way in.
  _handleMessage(code, payload) {
    if (code === STATUS) emit('status', { peer: this.id, payload: hex(payload) })
    else emit('packet', { peer: this.id, code, payload: hex(payload) })
  }
}

const rlpx = new RLPx(options.key ? bytes(options.key) : genPrivateKey(), {
  clientId: new TextEncoder().encode('interop-js/v10.0.0'),
  capabilities: [{ name: 'shh', version: 6, length: 128, constructor: Shh }],
  maxPeers: 50,
})
const status = bytes(options.status)

// Not in Shh's constructor: that can run before our own Hello has left.
rlpx.events.on('peer:added', (peer) => {
  const [shh] = peer.getProtocols()
  connections.set(shh.id, shh)
  shh.send(STATUS, status)
})
rlpx.events.on('peer:removed', (peer, reason, byUs) => {
  const id = nodeId(peer.getId())
  connections.delete(id)
  // No reason when the socket was closed without a Disconnect.
  emit('disconnect', { peer: id, reason: reason ?? null, by_us: byUs === true })
})
rlpx.events.on('peer:error', (_, error) => emit('peer_error', { message: String(error) }))
rlpx.events.on('error', (error) => {
  console.error('js peer:', error)
  process.exit(1)
})

// The connections a command is meant for: the one named, or all.
function targets({ peer }) {
  const found = peer === undefined ? [...connections.values()] : [connections.get(peer)].filter(Boolean)
  if (found.length === 0) throw new Error(peer === undefined ? 'no peer is connected' : `not connected: ${peer}`)
  return found
}

const commands = {
  async dial({ enode }) {
    const m = /^enode:\/\/([0-9a-f]{128})@([0-9.]+):([0-9]+)/i.exec(enode)
    if (!m) throw new Error(`not an enode URL: ${enode}`)
    await rlpx.connect({ id: bytes('0x' + m[1]), address: m[2], tcpPort: Number(m[3]) })
  },
  send(command) {
    const payload = bytes(command.payload)
    if (!(Number.isInteger(command.code) && command.code >= 0 && command.code < 128)) throw new Error(`no shh code: ${command.code}`)
    for (const shh of targets(command)) shh.send(command.code, payload)
  },
  disconnect(command) {
    for (const shh of targets(command)) shh.peer.disconnect(command.reason ?? 0)
  },
  peers: () => ({ peers: [...connections.keys()].map((id) => ({ id })) }),
  quit() {},
}

async function run(line) {
  let command = {}
  try {
    command = JSON.parse(line)
    if (!Object.hasOwn(commands, command.cmd)) throw new Error(`unknown command ${command.cmd}`)
    const answer = await commands[command.cmd](command)
    emit('ok', { id: command.id, ...answer })
  } catch (error) {
    emit('error', { id: command.id ?? 0, message: error.message })
  }
  if (command.cmd === 'quit') process.exit(0)
}

rlpx.events.once('listening', async () => {
  const { port } = rlpx._server.address() // the library has no public way to ask
  emit('ready', {
    flavour: 'js',
    enode: `enode://${hex(rlpx.id).slice(2)}@127.0.0.1:${port}`,
    id: nodeId(rlpx.id),
  })
  // One after another, in the order they arrive; the end of input is "quit".
  for await (const line of createInterface({ input: process.stdin })) await run(line)
  process.exit(0)
})
rlpx.listen(0, '127.0.0.1')
