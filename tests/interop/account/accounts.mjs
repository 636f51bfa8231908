// A second implementation of accounts for the interop tests: ethers, driven by
// JSON lines on stdin and stdout. Each line in is {"cmd": ..., ...}; each line
// out is {"ok": result} or {"error": message}. Bytes are 0x hex.

import {
  AbiCoder, HDNodeWallet, Interface, Mnemonic, SigningKey, Transaction, TypedDataEncoder, Wallet,
  computeAddress, decryptKeystoreJson, encryptKeystoreJson, ensNormalize, getAddress, getIcapAddress,
  hashMessage, id, keccak256, namehash,
  verifyMessage, verifyTypedData, wordlists,
} from 'ethers'
import { createCipheriv, pbkdf2Sync, randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'

const LISTS = {
  english: 'en', 'chinese-simplified': 'zh_cn', 'chinese-traditional': 'zh_tw', czech: 'cz', french: 'fr',
  italian: 'it', japanese: 'ja', korean: 'ko', portuguese: 'pt', spanish: 'es',
}
const list = (language) => wordlists[LISTS[language]]
const bytes = (hex) => Buffer.from(hex.slice(2), 'hex')

// Numbers as texts, lists without names.
const plain = (value) => {
  if (typeof value === 'bigint') return value.toString()
  return Array.isArray(value) ? Array.from(value, plain) : value
}

const transaction = (read) => ({
  type: read.type,
  chain_id: read.chainId.toString(),
  nonce: read.nonce,
  gas_price: read.gasPrice?.toString() ?? null,
  max_fee: read.maxFeePerGas?.toString() ?? null,
  max_priority_fee: read.maxPriorityFeePerGas?.toString() ?? null,
  gas: read.gasLimit.toString(),
  to: read.to,
  value: read.value.toString(),
  data: read.data,
  raw: read.serialized,
  hash: read.hash,
  signing_hash: read.unsignedHash,
  from: read.from,
})

const node = (wallet) => ({
  private_key: wallet.privateKey,
  public_key: SigningKey.computePublicKey(wallet.publicKey, false),
  address: wallet.address,
  xprv: wallet.extendedKey,
  xpub: wallet.neuter().extendedKey,
})

const commands = {
  // A phrase of their making.
  phrase: ({ entropy, language }) => Mnemonic.fromEntropy(entropy, '', list(language)).phrase,

  // What a phrase of ours leads to.
  derive: ({ phrase, language, passphrase, paths }) => {
    const mnemonic = Mnemonic.fromPhrase(phrase, passphrase, list(language))
    const master = HDNodeWallet.fromSeed(mnemonic.computeSeed())
    return {
      entropy: mnemonic.entropy,
      seed: mnemonic.computeSeed(),
      nodes: paths.map((path) => node(path === 'm' ? master : master.derivePath(path))),
    }
  },

  // From a public key down.
  derive_public: ({ xpub, path }) => {
    const wallet = HDNodeWallet.fromExtendedKey(xpub).derivePath(path)
    return { xpub: wallet.extendedKey, address: wallet.address }
  },

  read_xprv: ({ xprv }) => node(HDNodeWallet.fromExtendedKey(xprv)),
  address: ({ public_key }) => computeAddress(public_key),
  icap: ({ address }) => getIcapAddress(address),
  namehash: ({ name }) => ({ name: ensNormalize(name), node: namehash(name) }),
  checksum: ({ address }) => getAddress(address),

  encrypt: ({ private_key, password, n, r, p }) =>
    encryptKeystoreJson(
      { address: computeAddress(private_key), privateKey: private_key }, password,
      { scrypt: { N: n, r, p } },
    ),

  // ethers reads PBKDF2 but does not write it; Node's OpenSSL does the work here.
  encrypt_pbkdf2: ({ private_key, password, rounds }) => {
    const [salt, iv] = [randomBytes(32), randomBytes(16)]
    const key = pbkdf2Sync(password, salt, rounds, 32, 'sha256')
    const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), iv)
    const ciphertext = Buffer.concat([cipher.update(bytes(private_key)), cipher.final()])
    const mac = keccak256(Buffer.concat([key.subarray(16), ciphertext])).slice(2)
    return JSON.stringify({
      version: 3, id: '3198bc9c-6672-5ab3-d995-4942343ae5b6',
      crypto: {
        cipher: 'aes-128-ctr', ciphertext: ciphertext.toString('hex'), cipherparams: { iv: iv.toString('hex') },
        kdf: 'pbkdf2', kdfparams: { c: rounds, dklen: 32, prf: 'hmac-sha256', salt: salt.toString('hex') }, mac,
      },
    })
  },

  decrypt: async ({ json, password }) => {
    const { address, privateKey } = await decryptKeystoreJson(json, password)
    return { address, private_key: privateKey }
  },

  sign_message: async ({ private_key, message }) => ({
    hash: hashMessage(bytes(message)),
    signature: await new Wallet(private_key).signMessage(bytes(message)),
  }),
  verify_message: ({ message, signature }) => verifyMessage(bytes(message), signature),

  // Calls and events.
  abi_encode: ({ types, values }) => AbiCoder.defaultAbiCoder().encode(types, values),
  abi_decode: ({ types, data }) => plain(AbiCoder.defaultAbiCoder().decode(types, data)),
  abi_log: ({ event, values }) => {
    const contract = new Interface([`event ${event}`])
    const { topics, data } = contract.encodeEventLog(contract.getEvent(event.split('(')[0]), values)
    return { topics, data }
  },
  abi_selector: ({ signature }) => id(signature).slice(0, 10),

  // Transactions.
  sign_transaction: ({ private_key, fields }) => {
    const made = Transaction.from(fields)
    made.signature = new SigningKey(private_key).sign(made.unsignedHash)
    return transaction(made)
  },
  read_transaction: ({ raw }) => transaction(Transaction.from(raw)),

  // Typed data.
  typed_data: async ({ private_key, domain, types, message }) => {
    const encoder = TypedDataEncoder.from(types)
    return {
      type_text: encoder.encodeType(encoder.primaryType),
      domain_separator: TypedDataEncoder.hashDomain(domain),
      struct_hash: encoder.hash(message),
      digest: TypedDataEncoder.hash(domain, types, message),
      signature: await new Wallet(private_key).signTypedData(domain, types, message),
    }
  },
  verify_typed_data: ({ domain, types, message, signature }) =>
    verifyTypedData(domain, types, message, signature),

  sign_digest: ({ private_key, digest }) => new SigningKey(private_key).sign(digest).serialized,
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const { cmd, ...args } = JSON.parse(line)
    answer = { ok: await commands[cmd](args) }
  } catch (error) {
    answer = { error: String(error?.shortMessage ?? error?.message ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
