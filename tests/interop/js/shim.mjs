// @ethereumjs/devp2p and snappyjs under the line protocol of fixtures/README.md, for `status-fixtures
// verify`. Errors have the class "refused": these packages do not tell them apart.

import { ECIES, id2pk } from '@ethereumjs/devp2p'
import { RLP } from '@ethereumjs/rlp'
import { keccak256 } from 'ethereum-cryptography/keccak.js'
import { secp256k1 } from 'ethereum-cryptography/secp256k1.js'
import { webcrypto } from 'node:crypto'
import { answer } from './answers.mjs'
import snappy from 'snappyjs'

const bytes = (hex) => Uint8Array.from(Buffer.from(hex.slice(2), 'hex'))
const x = (data) => '0x' + Buffer.from(data).toString('hex')
const join = (...parts) => Uint8Array.from(Buffer.concat(parts))
const integer = (data) => (data.length ? BigInt(x(data)) : 0n).toString()
const long = (key) => x(secp256k1.ProjectivePoint.fromHex(key).toRawBytes(false))
const id = (key) => secp256k1.getPublicKey(key, false).subarray(1)

// What the package draws at random is given: its values in the order of their use, then zeros.
let draws = []
webcrypto.getRandomValues = (array) => {
  const next = draws.shift()
  array.fill(0)
  if (next) array.set(next)
  return array
}
Math.random = () => 0

// A private key is drawn as 48 bytes, modulo the order less one, plus one.
const drawn = (key) => Buffer.from((BigInt(key) - 1n).toString(16).padStart(96, '0'), 'hex')

// A side of a handshake, and what it hashes.
const side = (key, remote, { nonce, ephemeral }, hashes) => {
  draws = [nonce && bytes(nonce), ephemeral && drawn(ephemeral)]
  const hash = (data) => {
    const digest = keccak256(data)
    hashes?.push(digest)
    return digest
  }
  const common = { customCrypto: { keccak256: hash } }
  return new ECIES(bytes(key), id(bytes(key)), remote ? bytes(remote).subarray(1) : null, common)
}

// From here on: the padding, and what encrypts the packet.
const seal = ({ padding, ecies_ephemeral: key, ecies_iv: iv }) => {
  Math.random = () => (padding - 100 + 0.5) / 151
  draws = [new Uint8Array(padding), drawn(key), bytes(iv)]
}

const list = (item) => {
  if (!Array.isArray(item)) throw new Error('no list')
  return item
}

const isEip8 = (packet) => packet.length - 2 === ((packet[0] << 8) | packet[1])

const openAuth = (peer, packet) => {
  peer._gotEIP8Auth = isEip8(packet)
  if (peer._gotEIP8Auth) peer.parseAuthEIP8(packet)
  else peer.parseAuthPlain(packet)
}

const openAck = (peer, packet) => {
  peer._gotEIP8Ack = isEip8(packet)
  if (peer._gotEIP8Ack) peer.parseAckEIP8(packet)
  else peer.parseAckPlain(packet)
}

const auth = (input) => {
  const peer = side(input.private_key, input.remote, input)
  // Plain packets lack the padding of r and s: they are not made here.
  if (!input.eip8) return undefined
  seal(input)
  return [peer, peer.createAuthEIP8()]
}

const ops = {
  'rlpx.auth': (input) => {
    const made = auth(input)
    return made && { packet: x(made[1]) }
  },
  'rlpx.open_auth': ({ private_key: key, packet }) => {
    if (!isEip8(bytes(packet))) return undefined
    const peer = side(key, null, {})
    openAuth(peer, bytes(packet))
    return {
      remote: long(peer._remotePublicKey), nonce: x(peer._remoteNonce), version: '4',
      ephemeral: long(peer._remoteEphemeralPublicKey),
    }
  },
  'rlpx.open_ack': ({ private_key: key, packet }) => {
    const peer = side(key, null, {})
    openAck(peer, bytes(packet))
    return { ephemeral: long(peer._remoteEphemeralPublicKey), nonce: x(peer._remoteNonce), version: '4' }
  },
  'rlpx.session': (input) => {
    if (!isEip8(bytes(input.auth))) return undefined
    const hashes = []
    const peer = side(input.private_key, null, input, hashes)
    openAuth(peer, bytes(input.auth))
    seal(input)
    const ack = peer.createAckEIP8()
    // The nonces, the shared secret, and these two.
    const [, , aes, mac] = hashes.slice(-4)
    const body = join(RLP.encode(input.code), bytes(input.payload))
    const frame = join(peer.createBlockHeader(body.length), peer.createBody(body))
    return { ack: x(ack), aes: x(aes), mac: x(mac), frame: x(frame) }
  },
  'rlpx.read_frame': (input) => {
    const made = auth(input)
    if (!made) return undefined
    const [peer] = made
    openAck(peer, bytes(input.ack))
    const frame = bytes(input.frame)
    peer.parseHeader(frame.subarray(0, 32))
    const { data, remainder } = RLP.decode(peer.parseBody(frame.subarray(32)), true)
    return { code: integer(data), payload: x(remainder) }
  },
  'devp2p.hello': ({ payload }) => {
    const [version, client, capabilities, port, node] = RLP.decode(bytes(payload))
    long(id2pk(node))
    const text = (data) => new TextDecoder('utf-8', { fatal: true }).decode(data)
    return {
      version: integer(version), client: text(client), listen_port: integer(port), id: x(node),
      capabilities: Array.from(list(capabilities), list).map(([name, version]) => `${text(name)}/${integer(version)}`),
    }
  },
  'devp2p.write_hello': (input) => {
    const capabilities = input.capabilities.map((it) => it.split('/')).map(([name, version]) => [name, Number(version)])
    return {
      payload: x(RLP.encode([BigInt(input.version), input.client, capabilities, BigInt(input.listen_port), bytes(input.id)])),
    }
  },
  'devp2p.decompress': ({ block }) => ({ payload: x(snappy.uncompress(bytes(block))) }),
  'rlp.decode': ({ rlp }) => {
    const plain = (item) => (Array.isArray(item) ? item.map(plain) : x(item))
    if (rlp === '0x') throw new Error('nothing')
    return { item: plain(RLP.decode(bytes(rlp))) }
  },
  'rlp.encode': ({ item }) => {
    const raw = (item) => (Array.isArray(item) ? item.map(raw) : bytes(item))
    return { rlp: x(RLP.encode(raw(item))) }
  },
}

await answer(ops)
