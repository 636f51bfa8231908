package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"reflect"
	"regexp"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	whisper "github.com/ethereum/go-ethereum/whisper/whisperv6"
)

// go-ethereum under the line protocol of fixtures/README.md: `geth shim`, for
// `status-fixtures verify`. Errors have the class "refused": go-ethereum does
// not tell them apart.

type refused struct{ text string }

func (r refused) Error() string { return r.text }

func refuse(err error) {
	if err != nil {
		panic(refused{err.Error()})
	}
}

// input has the members of all operations here.
type input struct {
	RLP        hexutil.Bytes   `json:"rlp"`
	Item       json.RawMessage `json:"item"`
	Name       string          `json:"name"`
	Password   string          `json:"password"`
	File       string          `json:"file"`
	PrivateKey hexutil.Bytes   `json:"private_key"`
	SymKey     hexutil.Bytes   `json:"sym_key"`
	Topics     []hexutil.Bytes `json:"topics"`
	Topic      hexutil.Bytes   `json:"topic"`
	Filter     *hexutil.Bytes  `json:"filter"`
	Envelope   hexutil.Bytes   `json:"envelope"`
	Data       hexutil.Bytes   `json:"data"`
	Raw        hexutil.Bytes   `json:"raw"`
	Message    hexutil.Bytes   `json:"message"`
	Signature  hexutil.Bytes   `json:"signature"`
	Expiry     uint32          `json:"expiry"`
	TTL        uint32          `json:"ttl"`
	Nonce      string          `json:"nonce"`
	Diff       uint32          `json:"diff"`
	Plaintext  hexutil.Bytes   `json:"plaintext"`
	Payload    hexutil.Bytes   `json:"payload"`
	Padding    hexutil.Bytes   `json:"padding"`
	Signer     hexutil.Bytes   `json:"signer"`
	PayloadLen uint32          `json:"payload_len"`
	Signed     bool            `json:"signed"`
}

func parsed(message *whisper.ReceivedMessage) object {
	if !message.ValidateAndParse() {
		panic(refused{"invalid message"})
	}
	result := object{"payload": hexutil.Encode(message.Payload), "padding": hexutil.Encode(message.Padding)}
	if message.Src != nil {
		result["signer"] = hexutil.Encode(crypto.FromECDSAPub(message.Src))
	}
	return result
}

// extended finds an extended key that is not empty.
var extended = regexp.MustCompile(`"extendedkey":\s*\{[^{}]*"ciphertext":\s*"[0-9a-f]`)

func decodeEnvelope(raw []byte) *whisper.Envelope {
	var envelope whisper.Envelope
	refuse(rlp.DecodeBytes(raw, &envelope))
	return &envelope
}

func item(raw []byte) (interface{}, []byte) {
	kind, content, rest, err := rlp.Split(raw)
	refuse(err)
	if kind != rlp.List {
		return hexutil.Encode(content), rest
	}
	items := []interface{}{}
	for len(content) > 0 {
		var next interface{}
		next, content = item(content)
		items = append(items, next)
	}
	return items, rest
}

func value(raw json.RawMessage) interface{} {
	if raw[0] == '"' {
		var content hexutil.Bytes
		refuse(json.Unmarshal(raw, &content))
		return []byte(content)
	}
	var items []json.RawMessage
	refuse(json.Unmarshal(raw, &items))
	values := []interface{}{}
	for _, item := range items {
		values = append(values, value(item))
	}
	return values
}

func double(number float64) string {
	var bits [8]byte
	binary.BigEndian.PutUint64(bits[:], math.Float64bits(number))
	return hexutil.Encode(bits[:])
}

var shimOps = map[string]func(in input) object{
	"rlp.decode": func(in input) object {
		found, rest := item(in.RLP)
		if len(rest) > 0 {
			panic(refused{"bytes after the item"})
		}
		return object{"item": found}
	},
	"rlp.encode": func(in input) object {
		raw, err := rlp.EncodeToBytes(value(in.Item))
		refuse(err)
		return object{"rlp": hexutil.Encode(raw)}
	},
	"topic.from_name": func(in input) object {
		topic := whisper.BytesToTopic(crypto.Keccak256([]byte(in.Name)))
		return object{"topic": hexutil.Encode(topic[:])}
	},
	"symkey.from_password": func(in input) object {
		shh := whisper.StandaloneWhisperService(nil)
		id, err := shh.AddSymKeyFromPassword(in.Password)
		refuse(err)
		key, err := shh.GetSymKey(id)
		refuse(err)
		return object{"sym_key": hexutil.Encode(key)}
	},
	"bloom.from_topics": func(in input) object {
		all := make([]byte, whisper.BloomFilterSize)
		for _, topic := range in.Topics {
			for i, bits := range whisper.TopicToBloom(whisper.BytesToTopic(topic)) {
				all[i] |= bits
			}
		}
		return object{"bloom": hexutil.Encode(all)}
	},
	"bloom.match": func(in input) object {
		sample := whisper.TopicToBloom(whisper.BytesToTopic(in.Topic))
		var filter []byte
		if in.Filter != nil {
			filter = *in.Filter
		}
		return object{"match": whisper.BloomFilterMatch(filter, sample)}
	},
	"envelope.encode": func(in input) object {
		nonce, ok := new(big.Int).SetString(in.Nonce, 10)
		if !ok {
			panic(refused{"nonce"})
		}
		envelope := whisper.Envelope{Expiry: in.Expiry, TTL: in.TTL, Topic: whisper.BytesToTopic(in.Topic), Data: in.Data, Nonce: nonce.Uint64()}
		raw, err := rlp.EncodeToBytes(&envelope)
		refuse(err)
		return object{"envelope": hexutil.Encode(raw), "hash": envelope.Hash().Hex()}
	},
	"envelope.decode": func(in input) object {
		envelope := decodeEnvelope(in.Envelope)
		return object{
			"expiry": envelope.Expiry, "ttl": envelope.TTL, "topic": hexutil.Encode(envelope.Topic[:]),
			"data": hexutil.Encode(envelope.Data), "hash": envelope.Hash().Hex(),
			"nonce": new(big.Int).SetUint64(envelope.Nonce).String(),
		}
	},
	"envelope.open": func(in input) object {
		envelope := decodeEnvelope(in.Envelope)
		var message *whisper.ReceivedMessage
		var err error
		if len(in.SymKey) > 0 {
			message, err = envelope.OpenSymmetric(in.SymKey)
		} else {
			key, wrong := crypto.ToECDSA(in.PrivateKey)
			refuse(wrong)
			message, err = envelope.OpenAsymmetric(key)
		}
		refuse(err)
		return parsed(message)
	},
	"message.parse": func(in input) object {
		return parsed(&whisper.ReceivedMessage{Raw: in.Plaintext})
	},
	"message.build": func(in input) object {
		// Padding of its own is added for none, and signing is not open to others.
		if len(in.Signer) > 0 || len(in.Padding) == 0 {
			return nil
		}
		message, err := whisper.NewSentMessage(&whisper.MessageParams{Payload: in.Payload, Padding: in.Padding})
		refuse(err)
		return object{"plaintext": hexutil.Encode(rawOf(message))}
	},
	"message.padding": func(in input) object {
		params := whisper.MessageParams{Payload: make([]byte, in.PayloadLen)}
		if in.Signed {
			key, err := crypto.GenerateKey()
			refuse(err)
			params.Src = key
		}
		message, err := whisper.NewSentMessage(&params)
		refuse(err)
		raw := rawOf(message)
		return object{"padding_len": len(raw) - 1 - int(raw[0]&3) - int(in.PayloadLen)}
	},
	"pow.of": func(in input) object {
		if in.Diff != 0 {
			return nil
		}
		// The zeros are not shown, but follow from the proof of work.
		envelope := decodeEnvelope(in.Envelope)
		raw, err := rlp.EncodeToBytes([]interface{}{envelope.Expiry, envelope.TTL, envelope.Topic, envelope.Data})
		refuse(err)
		nonce := make([]byte, 8)
		binary.BigEndian.PutUint64(nonce, envelope.Nonce)
		hash := new(big.Int).SetBytes(crypto.Keccak256(append(raw, nonce...)))
		return object{"zeros": 256 - hash.BitLen(), "pow": double(envelope.PoW())}
	},
	"account.key": func(in input) object {
		key, err := crypto.ToECDSA(in.PrivateKey)
		refuse(err)
		public := crypto.FromECDSAPub(&key.PublicKey)
		uid := sha256.Sum256(public)
		return object{
			"public_key": hexutil.Encode(public), "compressed": hexutil.Encode(crypto.CompressPubkey(&key.PublicKey)),
			"address": crypto.PubkeyToAddress(key.PublicKey).Hex(), "key_uid": hexutil.Encode(uid[:]),
		}
	},
	"keystore.open": func(in input) object {
		// The extended key of Status' files is passed over, and not told.
		if extended.MatchString(in.File) {
			return nil
		}
		key, err := keystore.DecryptKey([]byte(in.File), in.Password)
		refuse(err)
		return object{"private_key": hexutil.Encode(crypto.FromECDSA(key.PrivateKey)), "address": key.Address.Hex()}
	},
	"tx.decode": func(in input) object {
		var tx types.Transaction
		refuse(rlp.DecodeBytes(in.Raw, &tx))
		var signer types.Signer = types.HomesteadSigner{}
		var chain interface{}
		if tx.Protected() {
			signer, chain = types.NewEIP155Signer(tx.ChainId()), tx.ChainId().String()
		}
		from, err := types.Sender(signer, &tx)
		refuse(err)
		var to interface{}
		if tx.To() != nil {
			to = tx.To().Hex()
		}
		return object{
			"transaction": object{
				"nonce": new(big.Int).SetUint64(tx.Nonce()).String(), "gas_price": tx.GasPrice().String(),
				"gas": new(big.Int).SetUint64(tx.Gas()).String(), "to": to, "value": tx.Value().String(),
				"data": hexutil.Encode(tx.Data()), "chain_id": chain,
			},
			"from": from.Hex(), "hash": tx.Hash().Hex(),
		}
	},
	"personal.recover": func(in input) object {
		signature := append([]byte{}, in.Signature...)
		if signature[64] != 27 && signature[64] != 28 {
			panic(refused{"v"})
		}
		signature[64] -= 27
		key, err := crypto.SigToPub(accounts.TextHash(in.Message), signature)
		refuse(err)
		return object{"address": crypto.PubkeyToAddress(*key).Hex()}
	},
	"personal.sign": func(in input) object {
		key, err := crypto.ToECDSA(in.PrivateKey)
		refuse(err)
		digest := accounts.TextHash(in.Message)
		signature, err := crypto.Sign(digest, key)
		refuse(err)
		signature[64] += 27
		return object{"digest": hexutil.Encode(digest), "signature": hexutil.Encode(signature)}
	},
}

// rawOf reads a member that the package keeps to itself.
func rawOf(message interface{}) []byte {
	return reflect.ValueOf(message).Elem().FieldByName("Raw").Bytes()
}

func shim() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var asked struct {
			ID    uint64          `json:"id"`
			Op    string          `json:"op"`
			Input json.RawMessage `json:"input"`
		}
		check(json.Unmarshal(lines.Bytes(), &asked))
		said := object{"id": asked.ID}
		if run, ok := shimOps[asked.Op]; ok {
			answer(said, run, asked.Input)
		} else {
			said["unsupported"] = true
		}
		line := new(bytes.Buffer)
		check(json.NewEncoder(line).Encode(said))
		_, err := os.Stdout.Write(line.Bytes())
		check(err)
	}
}

func answer(said object, run func(in input) object, raw json.RawMessage) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case refused:
			said["error"] = object{"class": "refused", "text": reason.text}
		default:
			panic(reason)
		}
	}()
	var in input
	refuse(json.Unmarshal(raw, &in))
	if result := run(in); result != nil {
		said["result"] = result
	} else {
		said["unsupported"] = true
	}
}
