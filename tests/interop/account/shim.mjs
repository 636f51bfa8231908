// ethers, Node's crypto, content-hash and eth-url-parser under the line protocol of fixtures/README.md, for
// `status-fixtures verify`. Errors have the class "refused": what is thrown does not tell which rule was
// broken.

import {
  AbiCoder, HDNodeWallet, Interface, Mnemonic, SigningKey, Transaction, TypedDataEncoder, Wallet,
  computeAddress, decodeBase58, decodeRlp, encodeBase58, encodeRlp, encryptKeystoreJsonSync, ensNormalize,
  getAddress, hashMessage, id, keccak256, namehash, sha256, toUtf8Bytes, verifyMessage,
} from 'ethers'
import * as contentHash from '@ensdomains/content-hash'
import { parse as parseLink } from 'eth-url-parser'
import { CID } from 'multiformats/cid'
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync, pbkdf2Sync } from 'node:crypto'
import { answer } from '../js/answers.mjs'

// ethers prints what it can't parse: standard output is for answers.
console.log = console.error

const bytes = (hex) => Buffer.from(hex.slice(2), 'hex')
const x = (data) => '0x' + Buffer.from(data).toString('hex')
const topic = (name) => keccak256(toUtf8Bytes(name)).slice(0, 10)

// Numbers as texts, lists without names.
const plain = (value) => {
  if (typeof value === 'bigint') return value.toString()
  return Array.isArray(value) || typeof value?.toArray === 'function' ? Array.from(value, plain) : value
}

const ecdh = (ours, theirs) => '0x' + new SigningKey(ours).computeSharedSecret(theirs).slice(4, 68)
const agreed = (...pairs) => ({
  key: keccak256(x(Buffer.concat(pairs.map((pair) => bytes(ecdh(...pair)))))),
})

const derived = (secret, salt, info, length) => Buffer.from(hkdfSync('sha256', bytes(secret), salt, info, length))
const hmac = (key, ...parts) => createHmac('sha256', key).update(Buffer.concat(parts)).digest()
const message = ({ message_key: key }) => {
  const keys = derived(key, Buffer.alloc(32), 'pcwSByyx2CRdryCffXJwy7xgVZWtW5Sh', 80)
  return { aes: keys.subarray(0, 32), mac: keys.subarray(32, 64), iv: keys.subarray(64) }
}
// What the MAC covers besides: numbers in little-endian order.
const header = ({ ratchet_key: key, n, pn }) => {
  const numbers = Buffer.alloc(8)
  numbers.writeUInt32LE(n)
  numbers.writeUInt32LE(pn, 4)
  return Buffer.concat([numbers, bytes(key)])
}

const contract = (signature) => {
  const it = new Interface([`function ${signature}`])
  return [it, it.fragments[0]]
}

const ops = {
  'rlp.decode': ({ rlp }) => ({ item: decodeRlp(rlp) }),
  'rlp.encode': ({ item }) => ({ rlp: encodeRlp(item) }),
  'topic.from_name': ({ name }) => ({ topic: topic(name) }),
  'topic.of_key': ({ public_key: key }) => {
    const partition = Number(BigInt('0x' + key.slice(4, 68)) % 5000n)
    return {
      partition,
      partitioned: topic(`contact-discovery-${partition}`),
      personal: topic(`contact-discovery-${key.slice(2)}`),
      contact_code: topic(`${key}-contact-code`),
    }
  },
  'topic.negotiated': ({ private_key: ours, public_key: theirs }) => {
    const secret = ecdh(ours, theirs)
    return { secret, topic: topic(secret.slice(2)) }
  },
  'symkey.from_password': ({ password }) => ({
    sym_key: x(pbkdf2Sync(Buffer.from(password), Buffer.alloc(0), 65356, 32, 'sha256')),
  }),
  'account.phrase': ({ entropy }) => ({ phrase: Mnemonic.fromEntropy(entropy).phrase }),
  'account.seed': ({ phrase, passphrase }) => ({ seed: Mnemonic.fromPhrase(phrase, passphrase).computeSeed() }),
  'account.derive': ({ seed, path }) => {
    const master = HDNodeWallet.fromSeed(seed)
    const key = path === 'm' ? master : master.derivePath(path)
    return {
      private_key: key.privateKey,
      public_key: SigningKey.computePublicKey(key.publicKey, false),
      address: key.address,
      xprv: key.extendedKey,
      xpub: key.neuter().extendedKey,
    }
  },
  'account.key': ({ private_key: key }) => {
    const long = SigningKey.computePublicKey(key, false)
    return {
      public_key: long,
      compressed: SigningKey.computePublicKey(key, true),
      address: computeAddress(key),
      key_uid: sha256(long),
    }
  },
  'account.address': ({ address }) => ({ address: getAddress(address) }),
  'keystore.open': ({ file, password }) => {
    // The extended key of Status' files is passed over, and not told.
    if (JSON.parse(file).extendedkey?.ciphertext) return undefined
    const wallet = Wallet.fromEncryptedJsonSync(file, password)
    return { private_key: wallet.privateKey, address: wallet.address }
  },
  'keystore.write': ({ private_key: privateKey, password, salt, iv, id: uuid, log_n: n, r, p }) => {
    const account = { address: computeAddress(privateKey), privateKey }
    const file = JSON.parse(encryptKeystoreJsonSync(account, password, {
      salt, iv, uuid, scrypt: { N: 2 ** n, r, p },
    }))
    // Members of its own, its case of two names, and what Status' files have besides.
    const { address, id, version, Crypto: crypto } = file
    const extendedkey = { cipher: '', ciphertext: '', cipherparams: { iv: '' }, kdf: '', kdfparams: null, mac: '' }
    return { file: JSON.stringify({ address, crypto, id, version, extendedkey, subaccountindex: 0 }) }
  },
  'keystore.mobile_password': ({ password }) => ({ password: keccak256(toUtf8Bytes(password)) }),
  'x3dh.initiate': ({ identity, ephemeral, their_identity: theirs, their_prekey: prekey }) =>
    agreed([identity, prekey], [ephemeral, theirs], [ephemeral, prekey]),
  'x3dh.respond': ({ identity, prekey, their_identity: theirs, their_ephemeral: ephemeral }) =>
    agreed([prekey, theirs], [identity, ephemeral], [prekey, ephemeral]),
  'dh.seal': ({ public_key: theirs, ephemeral, nonce, plaintext }) => {
    const cipher = createCipheriv('aes-256-gcm', bytes(ecdh(ephemeral, theirs)), bytes(nonce))
    const parts = [cipher.update(bytes(plaintext)), cipher.final(), cipher.getAuthTag(), bytes(nonce)]
    return { key: SigningKey.computePublicKey(ephemeral, true), payload: x(Buffer.concat(parts)) }
  },
  'dh.open': ({ private_key: ours, key, payload }) => {
    const data = bytes(payload)
    const end = data.length - 28
    const cipher = createDecipheriv('aes-256-gcm', bytes(ecdh(ours, key)), data.subarray(end + 16))
    cipher.setAuthTag(data.subarray(end, end + 16))
    return { plaintext: x(Buffer.concat([cipher.update(data.subarray(0, end)), cipher.final()])) }
  },
  'ratchet.root': ({ root_key: root, dh }) => {
    const keys = derived(dh, bytes(root), 'rsZUpEuXUqqwXBvSy3EcievAh4cMj6QL', 96)
    return { root_key: x(keys.subarray(0, 32)), chain_key: x(keys.subarray(32, 64)) }
  },
  'ratchet.chain': ({ chain_key: chain }) => ({
    chain_key: x(hmac(bytes(chain), Buffer.of(0x0f))),
    message_key: x(hmac(bytes(chain), Buffer.of(0x10))),
  }),
  'ratchet.seal': (input) => {
    const { aes, mac, iv } = message(input)
    const cipher = createCipheriv('aes-256-ctr', aes, iv)
    const sealed = Buffer.concat([iv, cipher.update(bytes(input.plaintext)), cipher.final()])
    return { payload: x(Buffer.concat([sealed, hmac(mac, header(input), sealed)])) }
  },
  'ratchet.open': (input) => {
    const { aes, mac } = message(input)
    const data = bytes(input.payload)
    const [sealed, tag] = [data.subarray(0, data.length - 32), data.subarray(data.length - 32)]
    if (!hmac(mac, header(input), sealed).equals(tag)) throw new Error('the MAC differs')
    const cipher = createDecipheriv('aes-256-ctr', aes, sealed.subarray(0, 16))
    return { plaintext: x(Buffer.concat([cipher.update(sealed.subarray(16)), cipher.final()])) }
  },
  'sync.group_id': ({ public_a: a, public_b: b }) => {
    const short = [a, b].map((key) => SigningKey.computePublicKey(key, true))
    short.sort((one, two) => (one.slice(4) < two.slice(4) ? -1 : 1))
    return { group_id: keccak256(x(Buffer.concat(short.map(bytes)))) }
  },
  'abi.selector': ({ function: signature }) => ({ selector: id(contract(signature)[1].format()).slice(0, 10) }),
  'abi.encode_call': ({ function: signature, arguments: values }) => {
    const [it, fragment] = contract(signature)
    return { data: it.encodeFunctionData(fragment, values) }
  },
  'abi.decode_call': ({ function: signature, data }) => {
    const [it, fragment] = contract(signature)
    if (data.slice(0, 10) !== fragment.selector) throw new Error('another selector')
    const read = AbiCoder.defaultAbiCoder().decode(fragment.inputs, '0x' + data.slice(10))
    return { arguments: plain(read) }
  },
  'tx.sign': ({ private_key: key, ...fields }) => {
    const transaction = Transaction.from({
      type: 0, nonce: Number(fields.nonce), gasPrice: BigInt(fields.gas_price), gasLimit: BigInt(fields.gas),
      to: fields.to, value: BigInt(fields.value), data: fields.data,
      chainId: fields.chain_id ? BigInt(fields.chain_id) : 0n,
    })
    const signing = transaction.unsignedHash
    transaction.signature = new SigningKey(key).sign(signing)
    return { raw: transaction.serialized, hash: transaction.hash, signing_hash: signing }
  },
  'tx.decode': ({ raw }) => {
    const read = Transaction.from(raw)
    if (!read.signature) throw new Error('not signed')
    return {
      transaction: {
        nonce: read.nonce.toString(), gas_price: read.gasPrice.toString(), gas: read.gasLimit.toString(),
        to: read.to, value: read.value.toString(), data: read.data,
        chain_id: read.chainId ? read.chainId.toString() : null,
      },
      from: read.from,
      hash: read.hash,
    }
  },
  'personal.sign': ({ message, private_key: key }) => ({
    digest: hashMessage(bytes(message)),
    signature: new SigningKey(key).sign(hashMessage(bytes(message))).serialized,
  }),
  'personal.recover': ({ message, signature }) => ({ address: verifyMessage(bytes(message), signature) }),
  'typed_data.hash': ({ typed_data: data }) => {
    const { EIP712Domain: _, ...types } = data.types
    return {
      digest: TypedDataEncoder.hash(data.domain, types, data.message),
      domain: TypedDataEncoder.hashDomain(data.domain),
    }
  },
  'ens.namehash': ({ name }) => ({ name: ensNormalize(name), node: namehash(name) }),
  'payload.clock': ({ last_clock: last, now_ms: now }) => {
    const [one, two] = [BigInt(last), BigInt(now)]
    return { clock: (one === 0n || one < two ? two : one + 1n).toString() }
  },
  'account.compress': ({ public_key: key }) => ({
    compact: 'z' + encodeBase58('0xe701' + SigningKey.computePublicKey(key, true).slice(2)),
  }),
  'account.expand': ({ compact }) => {
    const [base, digits] = [compact[0], compact.slice(1)]
    // Of the bases, these are there.
    if (base !== 'z' && base !== 'f') return undefined
    const raw = base === 'z' ? decodeBase58(digits).toString(16) : digits
    if (!/^e701(0[23][0-9a-f]{64})$/.test(raw)) throw new Error('no chat key')
    return { public_key: SigningKey.computePublicKey('0x' + raw.slice(4), false) }
  },
  'packet.batch_hash': ({ payload }) => ({ batch_hash: keccak256(payload) }),
  'contenthash.encode': ({ content }) => {
    const [, kind, value] = /^\/(ipfs|ipns|swarm)\/(\w+)$/.exec(content) ?? []
    if (!kind) throw new Error('no path')
    return { contenthash: '0x' + contentHash.encode(kind, value) }
  },
  'contenthash.decode': ({ contenthash: hex }) => {
    const kind = contentHash.getCodec(hex.slice(2))
    const value = contentHash.decode(hex.slice(2))
    if (kind === 'swarm') return { content: `/swarm/${value}` }
    // It shows the newer form.
    return { content: `/${kind}/${CID.parse(value).toV0()}` }
  },
  'link.parse': ({ link }) => {
    const { target_address: target, chain_id, function_name, parameters = {} } = parseLink(link)
    const { value, gas } = function_name ? {} : parameters
    return { target, chain_id, function: function_name, value, gas }
  },
  'account.identicon': ({ public_key: key }) => {
    const hash = createHash('md5').update(key).digest()
    const row = (i) => [0, 1, 2, 1, 0].map((c) => (hash[3 * i + c] % 2 === 0 ? 1 : 0)).join('')
    return { rows: [0, 1, 2, 3, 4].map(row), color: color((hash[13] + hash[14] + hash[15]) / 765 * 360) }
  },
}

// HSL with saturation 0.5 and lightness 0.7, as 16 bits cut to 8.
const color = (hue) => {
  const chroma = (1 - Math.abs(2 * 0.7 - 1)) * 0.5
  const second = chroma * (1 - Math.abs(((hue / 60) % 2) - 1))
  const parts = [[chroma, second, 0], [second, chroma, 0], [0, chroma, second], [0, second, chroma],
    [second, 0, chroma], [chroma, 0, second]][Math.floor(hue / 60) % 6]
  return x(parts.map((part) => Math.floor((part + 0.7 - chroma / 2) * 65535 + 0.5) >> 8))
}

await answer(ops)
