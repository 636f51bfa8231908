"""eth-account, eth-keyfile, eth-keys, rlp and protobuf under the line protocol of fixtures/README.md,
for `status-fixtures verify`. Messages come from `proto/`, compiled when it starts. Errors have the class
"refused": these packages do not tell them apart.
"""
import hashlib
import hmac
import json
import math
import os
import re
import struct
import sys
import tempfile

import eth_keyfile.keyfile as keyfile
import rlp
from Crypto.Cipher import AES
from eth_abi import decode as abi_decode, encode as abi_encode
from eth_account import Account
from eth_account._utils.legacy_transactions import Transaction
from eth_account._utils.signing import extract_chain_id, hash_of_signed_transaction
from eth_account.hdaccount.deterministic import HDPath, derive_child_key
from eth_account.hdaccount.mnemonic import Mnemonic
from eth_account.messages import _hash_eip191_message, encode_defunct, encode_typed_data
from eth_keys import keys
from eth_utils import is_checksum_address, is_checksum_formatted_address, keccak, to_checksum_address
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

HERE = os.path.dirname(os.path.abspath(__file__))


def compiled():
    """The messages of `proto/`."""
    source = os.path.join(HERE, "..", "..", "..", "proto")
    files = [name for name in sorted(os.listdir(source)) if name.endswith(".proto")]
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "set")
        if protoc.main(["protoc", f"-I{source}", f"--descriptor_set_out={out}", *files]) != 0:
            raise SystemExit("protoc fails")
        with open(out, "rb") as file:
            content = FileDescriptorSet.FromString(file.read())
    pool = DescriptorPool()
    for file in content.file:
        pool.Add(file)
    return pool


POOL = compiled()


def proto(name):
    return GetMessageClass(POOL.FindMessageTypeByName(name))


WRAPPER = proto("status.ApplicationMetadataMessage")
TYPES = WRAPPER.DESCRIPTOR.enum_types_by_name["Type"].values_by_number


def message_of(number):
    """CHAT_MESSAGE is the type of ChatMessage."""
    return proto("status." + TYPES[number].name.title().replace("_", ""))


class Refused(Exception):
    pass


def need(truth, text):
    if not truth:
        raise Refused(text)


def unhex(text):
    return bytes.fromhex(text[2:])


def x(data):
    return "0x" + bytes(data).hex()


def private(text):
    return keys.PrivateKey(unhex(text))


def public(data):
    need(len(data) in (33, 65), "the length of a public key")
    if len(data) == 33:
        return keys.PublicKey.from_compressed_bytes(data)
    need(data[0] == 4, "the form of a public key")
    # Decompressing takes points of the curve alone.
    key = keys.PublicKey(data[1:])
    need(keys.PublicKey.from_compressed_bytes(key.to_compressed_bytes()) == key, "not on the curve")
    return key


def long(key):
    return x(b"\x04" + key.to_bytes())


def sign(digest, key):
    return key.sign_msg_hash(digest).to_bytes()


def recover(digest, signature):
    return keys.Signature(signature).recover_public_key_from_msg_hash(digest)


# Accounts.


def base58(data):
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    letters, number = "", int.from_bytes(data, "big")
    while number:
        number, digit = divmod(number, 58)
        letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + letters
    return letters


WORDS = Mnemonic()


def account_seed(given):
    need(WORDS.is_mnemonic_valid(given["phrase"]), "no phrase")
    return {"seed": x(Mnemonic.to_seed(given["phrase"], given["passphrase"]))}


def account_derive(given):
    digest = hmac.digest(b"Bitcoin seed", unhex(given["seed"]), "sha512")
    key, chain, parent, last = digest[:32], digest[32:], bytes(4), bytes(4)
    nodes = HDPath(given["path"])._path
    for node in nodes:
        point = keys.PrivateKey(key).public_key.to_compressed_bytes()
        parent, last = hashlib.new("ripemd160", hashlib.sha256(point).digest()).digest()[:4], node.serialize()
        key, chain = derive_child_key(key, chain, node)
    need(HDPath(given["path"]).derive(unhex(given["seed"])) == key, "another key")
    pair = keys.PrivateKey(key)
    head = bytes([len(nodes)]) + parent + last + chain
    return {
        "private_key": x(key), "public_key": long(pair.public_key),
        "address": pair.public_key.to_checksum_address(),
        "xprv": base58(bytes.fromhex("0488ade4") + head + b"\0" + key),
        "xpub": base58(bytes.fromhex("0488b21e") + head + pair.public_key.to_compressed_bytes()),
    }


def account_key(given):
    key = private(given["private_key"]).public_key
    return {
        "public_key": long(key), "compressed": x(key.to_compressed_bytes()),
        "address": key.to_checksum_address(),
        "key_uid": x(hashlib.sha256(b"\x04" + key.to_bytes()).digest()),
    }


def account_address(given):
    address = given["address"]
    digits = address[2:]
    is_mixed = digits not in (digits.lower(), digits.upper())
    need(not is_mixed or is_checksum_address(address), "the checksum")
    return {"address": to_checksum_address(address)}


def keystore_open(given):
    file = json.loads(given["file"])
    # The extended key of Status' files is passed over, and not told.
    if file.get("extendedkey", {}).get("ciphertext"):
        return None
    key = keyfile.decode_keyfile_json(file, given["password"].encode())
    return {"private_key": x(key), "address": keys.PrivateKey(key).public_key.to_checksum_address()}


def keystore_write(given):
    # What is random, and what is fixed there: r and p, the length of the salt.
    draws = [unhex(given["salt"]), unhex(given["iv"])]
    keyfile.SCRYPT_R, keyfile.SCRYPT_P = given["r"], given["p"]
    keyfile.Random.get_random_bytes = lambda length: draws.pop(0)
    file = keyfile.create_keyfile_json(
        unhex(given["private_key"]), given["password"].encode(), kdf="scrypt",
        iterations=1 << given["log_n"], salt_size=32)
    digits = given["id"][2:]
    file["id"] = "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])
    file["address"] = file["address"].lower()
    # What Status' files have besides, if there is no extended key.
    file["subaccountindex"] = 0
    file["extendedkey"] = {
        "cipher": "", "ciphertext": "", "cipherparams": {"iv": ""}, "kdf": "", "kdfparams": None, "mac": ""}
    return {"file": json.dumps(file)}


# Whisper: sealed with a symmetric key.


def message_build(given):
    payload = unhex(given["payload"])
    size = payload and len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "little") or b"\0"
    signer = given.get("signer")
    plaintext = bytes([len(size) | (4 if signer else 0)]) + size + payload + unhex(given["padding"])
    if signer:
        plaintext += sign(keccak(plaintext), private(signer))
    return {"plaintext": x(plaintext)}


def message_parse(plaintext):
    need(plaintext, "nothing")
    flags, end, signer = plaintext[0], len(plaintext), None
    if flags & 4:
        end -= 65
        need(end > 1, "short")
        signer = long(recover(keccak(plaintext[:end]), plaintext[end:]))
    width = flags & 3
    size = int.from_bytes(plaintext[1:1 + width], "little")
    need(1 + width + size <= end, "the payload ends behind the message")
    payload, padding = plaintext[1 + width:1 + width + size], plaintext[1 + width + size:end]
    return {"payload": x(payload), "padding": x(padding), "signer": signer}


def envelope_open(given):
    fields = rlp.decode(unhex(given["envelope"]), ENVELOPE)
    if "sym_key" not in given:
        return None
    data = fields[3]
    cipher = AES.new(unhex(given["sym_key"]), AES.MODE_GCM, nonce=data[-12:])
    return message_parse(cipher.decrypt_and_verify(data[:-28], data[-28:-12]))


ENVELOPE = rlp.sedes.List([
    rlp.sedes.BigEndianInt(), rlp.sedes.BigEndianInt(), rlp.sedes.Binary.fixed_length(4),
    rlp.sedes.binary, rlp.sedes.BigEndianInt(),
])


def envelope_decode(given):
    raw = unhex(given["envelope"])
    expiry, ttl, topic, data, nonce = rlp.decode(raw, ENVELOPE)
    need(max(expiry, ttl) < 1 << 32 and nonce < 1 << 64, "too large")
    return {"expiry": expiry, "ttl": ttl, "topic": x(topic), "data": x(data), "nonce": str(nonce), "hash": x(keccak(raw))}


def envelope_encode(given):
    raw = rlp.encode([
        given["expiry"], given["ttl"], unhex(given["topic"]), unhex(given["data"]), int(given["nonce"])])
    return {"envelope": x(raw), "hash": x(keccak(raw))}


def rlp_decode(given):
    def plain(item):
        return x(item) if isinstance(item, bytes) else [plain(each) for each in item]

    return {"item": plain(rlp.decode(unhex(given["rlp"])))}


def rlp_encode(given):
    def raw(item):
        return unhex(item) if isinstance(item, str) else [raw(each) for each in item]

    return {"rlp": x(rlp.encode(raw(given["item"])))}


def mailserver_request(given):
    return {"payload": x(rlp.encode([
        given["lower"], given["upper"], unhex(given.get("bloom") or "0x"),
        [unhex(topic) for topic in given["topics"]], given["limit"], unhex(given["cursor"]),
        1 if given["batch"] else 0]))}


# Packets.


def integer(data):
    need(isinstance(data, bytes) and data[:1] != b"\0" and len(data) <= 8, "no integer")
    return int.from_bytes(data, "big")


def string(data, *lengths):
    need(isinstance(data, bytes) and (not lengths or len(data) in lengths), "another length")
    return x(data)


def items(data, *counts):
    need(isinstance(data, list) and (not counts or len(data) in counts), "another list")
    return data


def pow_of(data):
    value = struct.unpack(">d", integer(data).to_bytes(8, "big"))[0]
    need(math.isfinite(value) and value >= 0, "no proof of work")
    return double(value)


def double(value):
    return x(struct.pack(">d", value))


def envelope(data):
    raw = rlp.encode(items(data, 5))
    rlp.decode(raw, ENVELOPE)
    return x(raw)


def rates(data):
    return [str(integer(each)) for each in items(data, 3)]


def status(data):
    need(1 <= len(items(data)) and integer(data[0]) == 6, "the version")
    # What is not understood of the rest is a matter of taste: these are read, or refused.
    _, work, bloom, light, confirmations, limits, *_ = data + [b"", b"\xff" * 64, b"", b"", [b"", b"", b""]][len(data) - 1:]
    return {
        "min_pow": pow_of(work), "bloom": None if bloom == b"" else string(bloom, 64),
        "light": integer(light) == 1, "confirmations": integer(confirmations) == 1, "rate_limits": rates(limits)}


def response(data):
    version, content = items(data, 2)
    need(integer(version) == 1, "the version")
    batch, errors = items(content, 2)
    errors = [items(each, 3) for each in errors]
    return {"batch_hash": string(batch, 32), "errors": [
        {"hash": string(hash, 32), "code": str(integer(code)), "description": text.decode()}
        for hash, code, text in errors]}


def answer_to_request(data):
    need(isinstance(data, bytes) and len(data) >= 32, "short")
    if len(data) >= 38 and data.startswith(b"ERROR="):
        return {"request": x(data[6:38]), "error": x(data[38:])}
    need(len(data) <= 100, "long")
    last = data[32:64] if len(data) >= 64 else bytes(32)
    return {"request": x(data[:32]), "last": x(last), "cursor": x(data[64:] if len(data) >= 100 else b"")}


def sync_request(data):
    lower, upper, bloom, limit, cursor = items(data, 5)
    return {"lower": integer(lower), "upper": integer(upper), "bloom": string(bloom), "limit": integer(limit),
            "cursor": string(cursor)}


def sync_response(data):
    envelopes, cursor, final, error = items(data, 4)
    return {"envelopes": [envelope(each) for each in items(envelopes)], "cursor": string(cursor),
            "final": integer(final) == 1, "error": string(error)}


def p2p_request(data):
    if len(items(data, 5, 6)) == 5:
        return {"envelope": envelope(data)}
    id, start, end, limit, cursor, bloom = data
    return {"id": string(id), "from": integer(start), "to": integer(end), "limit": integer(limit),
            "cursor": string(cursor), "bloom": string(bloom)}


def p2p_message(data):
    is_one = len(items(data)) == 5 and isinstance(data[0], bytes)
    return {"envelopes": [envelope(data)] if is_one else [envelope(each) for each in data]}


PACKETS = {
    0: status,
    1: lambda data: {"envelopes": [envelope(each) for each in items(data)]},
    2: lambda data: {"pow": pow_of(data)},
    3: lambda data: {"bloom": string(data, 64)},
    11: lambda data: {"batch_hash": string(data, 32)},
    12: response,
    20: lambda data: {"rate_limits": rates(data)},
    123: sync_request,
    124: sync_response,
    125: answer_to_request,
    126: p2p_request,
    127: p2p_message,
}


def packet_decode(given):
    run = PACKETS.get(given["code"])
    return {"packet": run(rlp.decode(unhex(given["payload"]))) if run else {"ignored": True}}


def packet_encode(given):
    it, code = given["packet"], given["code"]

    def envelopes():
        return [rlp.decode(unhex(each)) for each in it["envelopes"]]

    def bits(text):
        return int.from_bytes(unhex(text), "big")

    if code == 0:
        content = [6, bits(it["min_pow"]), unhex(it["bloom"] or "0x"), int(it["light"]), int(it["confirmations"]),
                   [int(each) for each in it["rate_limits"]]]
    elif code in (1, 127):
        content = envelopes()
        content = content[0] if code == 127 and len(content) == 1 else content
    elif code == 2:
        content = bits(it["pow"])
    elif code in (3, 11):
        content = unhex(it["bloom"] if code == 3 else it["batch_hash"])
    elif code == 12:
        errors = [[unhex(each["hash"]), int(each["code"]), each["description"].encode()] for each in it["errors"]]
        content = [1, [unhex(it["batch_hash"]), errors]]
    elif code == 20:
        content = [int(each) for each in it["rate_limits"]]
    elif code == 123:
        content = [it["lower"], it["upper"], unhex(it["bloom"]), it["limit"], unhex(it["cursor"])]
    elif code == 124:
        content = [envelopes(), unhex(it["cursor"]), int(it["final"]), unhex(it["error"])]
    elif code == 125:
        content = unhex(it["request"]) + (unhex(it["last"]) + unhex(it["cursor"]) if "last" in it else b"")
        if "error" in it:
            content = b"ERROR=" + content + unhex(it["error"])
    elif "envelope" in it:
        content = rlp.decode(unhex(it["envelope"]))
    else:
        content = [unhex(it["id"]), it["from"], it["to"], it["limit"], unhex(it["cursor"]), unhex(it["bloom"])]
    return {"payload": x(rlp.encode(content))}


def mailserver_decode(given):
    data = items(rlp.decode(unhex(given["payload"])), 5, 6, 7)
    lower, upper, bloom, *rest = data
    topics = [string(each, 4) for each in items(rest.pop(0))] if len(data) == 7 else []
    limit, cursor, *batch = rest
    need(integer(lower) <= integer(upper) < 1 << 32 and integer(limit) <= 1000, "the range or the limit")
    batch = [integer(each) for each in batch]
    need(batch in ([], [0], [1]), "the last item")
    return {"lower": integer(lower), "upper": integer(upper), "bloom": string(bloom, 64), "topics": topics,
            "limit": integer(limit), "cursor": string(cursor), "batch": batch == [1]}


def mailserver_position(given):
    raw = unhex(given["envelope"])
    expiry, ttl, topic, *_ = rlp.decode(raw, ENVELOPE)
    cursor = ((expiry - ttl) % (1 << 32)).to_bytes(4, "big") + keccak(raw)
    return {"cursor": x(cursor), "key": x(cursor + topic)}


# Messages.


def is_repeated(field):
    return field.is_repeated


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def fill(message, members):
    for name, value in members.items():
        if value is None:
            continue
        field = message.DESCRIPTOR.fields_by_name[name]
        if is_map(field):
            entry = field.message_type.fields_by_name["value"]
            for each in value:
                if entry.message_type:
                    fill(getattr(message, name)[each["key"]], each["value"])
                else:
                    getattr(message, name)[each["key"]] = raw(entry, each["value"])
        elif is_repeated(field):
            for each in value:
                if field.message_type:
                    fill(getattr(message, name).add(), each)
                else:
                    getattr(message, name).append(raw(field, each))
        elif field.message_type:
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        else:
            setattr(message, name, raw(field, value))


def raw(field, value):
    if field.type == field.TYPE_BYTES:
        return unhex(value)
    if field.type == field.TYPE_ENUM:
        if isinstance(value, int):
            return value
        return next(it.number for it in field.enum_type.values if it.name.lower() == value)
    if field.type in (field.TYPE_UINT64, field.TYPE_INT64):
        return int(value)
    return value


def plain(field, value):
    if field.type == field.TYPE_BYTES:
        return x(value)
    if field.type == field.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name.lower() if known else value
    if field.message_type:
        return members_of(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 1 << 53:
        return str(value)
    return value


def members_of(message):
    members = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if is_map(field):
            entry = field.message_type.fields_by_name["value"]
            members[field.name] = [{"key": key, "value": plain(entry, value[key])} for key in value]
        elif is_repeated(field):
            members[field.name] = [plain(field, each) for each in value]
        elif field.containing_oneof or field.message_type:
            if message.HasField(field.name):
                members[field.name] = plain(field, value)
        else:
            members[field.name] = plain(field, value)
    return members


def payload_encode(given):
    message = message_of(given["type"])()
    fill(message, given["message"])
    return {"payload": x(message.SerializeToString())}


def payload_decode(given):
    message = message_of(given["type"]).FromString(unhex(given["payload"]))
    return {"message": members_of(message)}


def wrapper_sign(given):
    author, payload = private(given["private_key"]), unhex(given["payload"])
    wrapper = WRAPPER(signature=sign(keccak(payload), author), payload=payload, type=given["type"])
    wrapper = wrapper.SerializeToString()
    return {"wrapper": x(wrapper), "message_id": x(keccak(unhex(long(author.public_key)) + wrapper))}


def wrapper_decode(given):
    data = unhex(given["wrapper"])
    wrapper = WRAPPER.FromString(data)
    if not wrapper.signature:
        return None
    author = long(recover(keccak(wrapper.payload), wrapper.signature))
    return {
        "type": wrapper.type, "payload": x(wrapper.payload), "author": author,
        "message_id": x(keccak(unhex(author) + data)),
    }


SYNC = proto("sync.Payload")


def sync_id(group, time, body):
    return x(hashlib.sha256(b"MESSAGE_ID" + group + time.to_bytes(8, "little", signed=True) + body).digest())


def sync_encode(given):
    lists = {name: [unhex(each) for each in given[name]] for name in ("acks", "offers", "requests")}
    messages = [
        {"group_id": unhex(each["group_id"]), "timestamp": int(each["timestamp"]), "body": unhex(each["body"])}
        for each in given["messages"]]
    return {"payload": x(SYNC(messages=messages, **lists).SerializeToString())}


def sync_decode(given):
    payload = SYNC.FromString(unhex(given["payload"]))
    result = {name: [x(each) for each in getattr(payload, name) if len(each) == 32] for name in ("acks", "offers", "requests")}
    result["messages"] = [
        {"group_id": x(each.group_id), "timestamp": str(each.timestamp), "body": x(each.body),
         "id": sync_id(each.group_id, each.timestamp, each.body)}
        for each in payload.messages]
    need(any(result.values()), "none of the lists")
    return result


BUNDLE, PROTOCOL = proto("secure.Bundle"), proto("secure.ProtocolMessage")


def bundle_verify(given):
    bundle = BUNDLE.FromString(unhex(given["bundle"]))
    covered, prekeys = b"", []
    for name in sorted(bundle.signed_pre_keys):
        prekey = bundle.signed_pre_keys[name]
        covered += name.encode() + prekey.signed_pre_key + str(prekey.version).encode()
        prekeys.append({
            "installation": name, "key": x(prekey.signed_pre_key), "version": prekey.version,
            "protocol_version": prekey.protocol_version})
    if bundle.timestamp:
        covered += str(bundle.timestamp).encode()
    signer = recover(keccak(covered), bundle.signature)
    need(signer.to_compressed_bytes() == bundle.identity, "signed by another")
    return {"identity": long(signer), "timestamp": str(bundle.timestamp), "prekeys": prekeys}


def protocol_message_decode(given):
    message = PROTOCOL.FromString(unhex(given["message"]))
    direct = []
    for name in sorted(message.direct_message):
        part = message.direct_message[name]
        described = {"installation": name, "payload": x(part.payload)}
        if part.HasField("x3dh_header"):
            described |= {"x3dh_key": x(part.x3dh_header.key), "x3dh_bundle": x(part.x3dh_header.id)}
        if part.HasField("dr_header"):
            header = part.dr_header
            described |= {"ratchet_key": x(header.key), "ratchet_bundle": x(header.id), "n": header.n, "pn": header.pn}
        if part.HasField("dh_header"):
            described["dh_key"] = x(part.dh_header.key)
        direct.append(described)
    return {
        "installation": message.installation_id, "direct": direct, "public": x(message.public_message),
        "bundles": [x(bundle.SerializeToString()) for bundle in message.bundles],
    }


EVENT = proto("status.MembershipUpdateEvent")


def group_event(given):
    event = EVENT(
        clock=int(given["clock"]), members=given["members"], name=given["name"], type=given["type"])
    event = event.SerializeToString()
    signature = sign(keccak(given["chat_id"].encode() + event), private(given["private_key"]))
    return {"event": x(signature + event)}


def group_decode_event(given):
    data = unhex(given["event"])
    need(len(data) > 65, "short")
    event = EVENT.FromString(data[65:])
    author = recover(keccak(given["chat_id"].encode() + data[65:]), data[:65])
    return {
        "author": long(author), "type": event.type, "clock": str(event.clock), "name": event.name,
        "members": list(event.members),
    }


# Calls, transactions, signed data.


def types_of(function):
    return [each for each in split(re.fullmatch(r"\w+\((.*)\)", function)[1])]


def split(text):
    """Splits at commas that stand in no brackets."""
    depth, word = 0, ""
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield word
            word = ""
        else:
            word += letter
    if word:
        yield word


def abi_value(kind, value):
    if kind.endswith("]"):
        return [abi_value(kind[:kind.rindex("[")], each) for each in value]
    if kind.startswith("("):
        return tuple(abi_value(*pair) for pair in zip(split(kind[1:-1]), value, strict=True))
    if kind.startswith("bytes"):
        return unhex(value)
    return int(value) if "int" in kind else value


def abi_text(kind, value):
    if kind.endswith("]"):
        return [abi_text(kind[:kind.rindex("[")], each) for each in value]
    if kind.startswith("("):
        return [abi_text(*pair) for pair in zip(split(kind[1:-1]), value)]
    if kind.startswith("bytes"):
        return x(value)
    if kind == "address":
        return to_checksum_address(value)
    return str(value) if "int" in kind else value


def abi_selector(given):
    return {"selector": x(keccak(given["function"].encode())[:4])}


def abi_encode_call(given):
    kinds = types_of(given["function"])
    values = [abi_value(*pair) for pair in zip(kinds, given["arguments"], strict=True)]
    return {"data": x(keccak(given["function"].encode())[:4] + abi_encode(kinds, values))}


def abi_decode_call(given):
    data, kinds = unhex(given["data"]), types_of(given["function"])
    need(data[:4] == keccak(given["function"].encode())[:4], "another selector")
    return {"arguments": [abi_text(*pair) for pair in zip(kinds, abi_decode(kinds, data[4:]))]}


def tx_sign(given):
    fields = {
        "nonce": int(given["nonce"]), "gasPrice": int(given["gas_price"]), "gas": int(given["gas"]),
        "to": to_checksum_address(given["to"]) if given.get("to") else b"", "value": int(given["value"]),
        "data": unhex(given["data"]), "chainId": int(given["chain_id"]) if given.get("chain_id") else None,
    }
    signed = Account.sign_transaction(fields, given["private_key"])
    transaction = rlp.decode(signed.raw_transaction, Transaction)
    return {
        "raw": x(signed.raw_transaction), "hash": x(signed.hash),
        "signing_hash": x(hash_of_signed_transaction(transaction)),
    }


def tx_decode(given):
    data = unhex(given["raw"])
    it = rlp.decode(data, Transaction)
    chain = extract_chain_id(it.v)[0]
    return {
        "transaction": {
            "nonce": str(it.nonce), "gas_price": str(it.gasPrice), "gas": str(it.gas),
            "to": to_checksum_address(it.to) if it.to else None, "value": str(it.value),
            "data": x(it.data), "chain_id": None if chain is None else str(chain)},
        "from": Account.recover_transaction(data),
        "hash": x(keccak(data)),
    }


def personal_sign(given):
    message = encode_defunct(unhex(given["message"]))
    signed = Account.sign_message(message, given["private_key"])
    return {"digest": x(signed.message_hash), "signature": x(signed.signature)}


def personal_recover(given):
    message = encode_defunct(unhex(given["message"]))
    return {"address": Account.recover_message(message, signature=unhex(given["signature"]))}


def typed_data_hash(given):
    message = encode_typed_data(full_message=given["typed_data"])
    return {"digest": x(_hash_eip191_message(message)), "domain": x(message.header)}


OPS = {
    "account.phrase": lambda it: {"phrase": WORDS.to_mnemonic(unhex(it["entropy"]))},
    "account.seed": account_seed,
    "account.derive": account_derive,
    "account.key": account_key,
    "account.address": account_address,
    "keystore.open": keystore_open,
    "keystore.write": keystore_write,
    "keystore.mobile_password": lambda it: {"password": x(keccak(it["password"].encode()))},
    "rlp.decode": rlp_decode,
    "rlp.encode": rlp_encode,
    "topic.from_name": lambda it: {"topic": x(keccak(it["name"].encode())[:4])},
    "envelope.decode": envelope_decode,
    "envelope.encode": envelope_encode,
    "envelope.open": envelope_open,
    "message.build": message_build,
    "message.parse": lambda it: message_parse(unhex(it["plaintext"])),
    "packet.batch_hash": lambda it: {"batch_hash": x(keccak(unhex(it["payload"])))},
    "packet.decode": packet_decode,
    "packet.encode": packet_encode,
    "mailserver.encode_request": mailserver_request,
    "mailserver.decode_request": mailserver_decode,
    "mailserver.position": mailserver_position,
    "mailserver.decode_answer": lambda it: answer_to_request(unhex(it["content"])),
    "bundle.verify": bundle_verify,
    "protocol_message.decode": protocol_message_decode,
    "sync.decode": sync_decode,
    "sync.encode": sync_encode,
    "wrapper.sign": wrapper_sign,
    "wrapper.decode": wrapper_decode,
    "payload.encode": payload_encode,
    "payload.decode": payload_decode,
    "group.event": group_event,
    "group.decode_event": group_decode_event,
    "abi.selector": abi_selector,
    "abi.encode_call": abi_encode_call,
    "abi.decode_call": abi_decode_call,
    "tx.sign": tx_sign,
    "tx.decode": tx_decode,
    "personal.sign": personal_sign,
    "personal.recover": personal_recover,
    "typed_data.hash": typed_data_hash,
}

for line in sys.stdin:
    request = json.loads(line)
    answer, run = {"id": request["id"]}, OPS.get(request["op"])
    try:
        result = run(request["input"]) if run else None
        answer |= {"unsupported": True} if result is None else {"result": result}
    except Exception as error:  # Of a dozen kinds, some without a common base.
        answer["error"] = {"class": "refused", "text": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(answer), flush=True)
