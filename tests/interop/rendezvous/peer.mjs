// A rendezvous server and client on the JavaScript libp2p of 2020, driven by
// JSON lines on stdin and stdout (see ../README.md). Everything below the
// stream is theirs: multistream-select, secio, peer ids; yamux is of 2023, for
// libp2p had none in JavaScript in 2020. The messages are ours, with npm `rlp`.

import { yamux } from '@chainsafe/libp2p-yamux'
import multistream from 'multistream-select'
import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import PeerId from 'peer-id'
import rlp from 'rlp'
import secio from 'libp2p-secio'

const PROTOCOL = '/rend/0.1.0'
const YAMUX = '/yamux/1.0.0'
const IDENTIFY = '/ipfs/id/1.0.0'

const { values: options } = parseArgs({
  // Asks for the identity of a server before each request, as Go does.
  options: { identify: { type: 'boolean', default: false } },
})

const emit = (event, fields = {}) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
const hex = (bytes) => '0x' + Buffer.from(bytes).toString('hex')
const bytes = (text) => Buffer.from(text.slice(2), 'hex')
const me = await PeerId.create({ keyType: 'secp256k1', bits: 256 })

// The libraries pass three kinds of buffers.
const buffer = (chunk) => Buffer.from(chunk instanceof Uint8Array ? chunk : chunk.slice())
async function * buffers (source) { for await (const chunk of source) yield buffer(chunk) }
const plain = ({ source, sink }) => ({ source: buffers(source), sink: (source) => sink(buffers(source)) })

const overSocket = (socket) => ({
  source: socket,
  sink: async (source) => {
    try {
      for await (const chunk of source) {
        if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve))
      }
    } finally { socket.end() }
  },
})

const select = async (duplex, protocol) =>
  plain((await new multistream.Dialer(plain(duplex)).select([protocol])).stream)
const handle = async (duplex, protocols) => {
  const { stream, protocol } = await new multistream.Listener(plain(duplex)).handle(protocols)
  return { stream: plain(stream), protocol }
}

// Both directions of a connection: all layers, up to the muxer.
async function upgrade (socket, dialled) {
  socket.on('error', () => {})
  const raw = overSocket(socket)
  const clear = dialled ? await select(raw, secio.protocol) : (await handle(raw, [secio.protocol])).stream
  const { conn, remotePeer } = await (dialled ? secio.secureOutbound : secio.secureInbound)(me, clear, dialled)
  const secured = dialled ? await select(conn, YAMUX) : (await handle(conn, [YAMUX])).stream
  const muxer = yamux()().createStreamMuxer({
    direction: dialled ? 'outbound' : 'inbound',
    onIncomingStream: (stream) => serve(stream, remotePeer).catch((error) => {
      emit('stream_failed', { message: error.message })
      stream.abort(error)
    }),
  })
  muxer.sink(secured.source).catch(() => {})
  secured.sink(buffers(muxer.source)).catch(() => {})
  return { muxer, remotePeer }
}

// Messages of a stream: [type, list].
async function * messages (source) {
  let waiting = Buffer.alloc(0)
  for await (const chunk of source) {
    waiting = Buffer.concat([waiting, chunk])
    for (;;) {
      let found
      try { found = rlp.decode(waiting.subarray(1), true) } catch { break } // not all of it is there
      if (waiting.length < 2) break
      yield { type: waiting[0], list: found.data }
      waiting = Buffer.from(found.remainder)
    }
  }
}
const message = (type, list) => Buffer.concat([Buffer.from([type]), rlp.encode(list)])

const kept = new Map() // topic -> records, nothing is checked
async function serve (raw, remotePeer) {
  const { stream } = await handle(raw, [PROTOCOL])
  await stream.sink((async function * () {
    for await (const { type, list } of messages(stream.source)) {
      if (type === 1) {
        const [topic, record, ttl] = list
        emit('registered', { peer: remotePeer.toB58String(), topic: topic.toString(), ttl: hex(ttl) })
        const records = kept.get(topic.toString()) ?? []
        kept.set(topic.toString(), [...records, record])
        yield message(2, [0, ''])
      } else if (type === 3) {
        const [limit, topic] = list
        emit('asked', { peer: remotePeer.toB58String(), topic: topic.toString(), limit: hex(limit) })
        yield message(4, [0, '', (kept.get(topic.toString()) ?? []).slice(0, limit[0])])
      } else throw new Error(`message of type ${type}`)
    }
  })())
}

async function dial (address) {
  const [, ip, port, id] = /^\/ip4\/([0-9.]+)\/tcp\/([0-9]+)\/ethv4\/(\w+)$/.exec(address)
  const socket = createConnection(Number(port), ip)
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const connection = await upgrade(socket, PeerId.createFromB58String(id))
  return { ...connection, socket }
}

// One request on a connection of its own.
async function ask (address, request) {
  const { muxer, socket } = await dial(address)
  try {
    if (options.identify) {
      const stream = await muxer.newStream()
      await select(stream, IDENTIFY).then(() => emit('identified'), (error) => emit('not_identified', { message: error.message }))
    }
    const stream = await select(await muxer.newStream(), PROTOCOL)
    stream.sink((async function * () { yield request })()).catch(() => {})
    for await (const answer of messages(stream.source)) return answer
    throw new Error('no answer')
  } finally { socket.destroy() }
}

const commands = {
  // Bytes are 0x hex; the ttl is in nanoseconds, as decimal text.
  async register ({ address, topic, record, ttl }) {
    const number = BigInt(ttl).toString(16)
    const bytesOfTtl = Buffer.from(number.length % 2 ? '0' + number : number, 'hex')
    const { type, list } = await ask(address, message(1, [topic, rlp.decode(bytes(record)), bytesOfTtl]))
    return { type, status: hex(list[0]) }
  },
  async discover ({ address, topic, limit }) {
    const { type, list } = await ask(address, message(3, [limit, topic]))
    return { type, status: hex(list[0]), records: list[2].map((record) => hex(rlp.encode(record))) }
  },
  quit () {},
}

async function run (line) {
  let command = {}
  try {
    command = JSON.parse(line)
    if (!Object.hasOwn(commands, command.cmd)) throw new Error(`unknown command ${command.cmd}`)
    emit('ok', { ...(await commands[command.cmd](command)), id: command.id })
  } catch (error) {
    emit('error', { id: command.id ?? 0, message: error.message })
  }
  if (command.cmd === 'quit') process.exit(0)
}

const server = createServer((socket) => upgrade(socket).then(
  ({ remotePeer }) => emit('connected', { peer: remotePeer.toB58String() }),
  (error) => emit('upgrade_failed', { message: error.message })))
server.listen(0, '127.0.0.1', async () => {
  emit('ready', {
    flavour: 'rendezvous',
    multiaddr: `/ip4/127.0.0.1/tcp/${server.address().port}/ethv4/${me.toB58String()}`,
  })
  for await (const line of createInterface({ input: process.stdin })) await run(line)
  process.exit(0)
})
