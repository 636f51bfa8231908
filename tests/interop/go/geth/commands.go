package main

import (
	"crypto/ecdsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/rlp"
	whisper "github.com/ethereum/go-ethereum/whisper/whisperv6"
)

type peer struct {
	srv *p2p.Server
	shh *whisper.Whisper
	key *ecdsa.PrivateKey

	mu   sync.Mutex
	subs []string
}

func (p *peer) subscriptions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.subs...)
}

func (p *peer) run(c *command) (object, error) {
	switch c.Cmd {
	case "subscribe":
		return p.subscribe(c)
	case "post":
		return p.post(c)
	case "send_raw":
		env, err := envelope(c.RLP)
		if err != nil {
			return nil, err
		}
		return object{"hash": env.Hash(), "pow": jsonFloat(env.PoW())}, p.shh.Send(env)
	case "send_p2p":
		env, err := envelope(c.RLP)
		if err != nil {
			return nil, err
		}
		return nil, p.shh.SendP2PMessage(c.Peer, env)
	case "request_mail":
		return p.requestMail(c)
	case "trust":
		return nil, p.shh.AllowP2PMessagesFromPeer(c.Peer)
	case "pool":
		hashes := []string{}
		for _, env := range p.shh.Envelopes() {
			hashes = append(hashes, env.Hash().Hex())
		}
		return object{"envelopes": hashes}, nil
	case "peers":
		return p.peers(), nil
	case "add_peer", "remove_peer":
		node, err := enode.ParseV4(c.Enode)
		if err != nil {
			return nil, err
		}
		if c.Cmd == "add_peer" {
			p.srv.AddPeer(node)
		} else {
			p.srv.RemovePeer(node) // returns when the connection is gone
		}
		return nil, nil
	case "set_min_pow":
		if c.Pow == nil {
			return nil, errors.New("pow is missing")
		}
		return nil, p.shh.SetMinimumPoW(*c.Pow)
	case "set_bloom":
		return nil, p.shh.SetBloomFilter(c.Bloom)
	case "set_max_message_size":
		if c.Size == nil {
			return nil, errors.New("size is missing")
		}
		return nil, p.shh.SetMaxMessageSize(*c.Size)
	case "quit":
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %q", c.Cmd)
}

func (p *peer) subscribe(c *command) (object, error) {
	f := &whisper.Filter{PoW: c.MinPow, AllowP2P: c.AllowP2P}
	for _, t := range c.Topics {
		if len(t) != whisper.TopicLength {
			return nil, fmt.Errorf("topic of %d bytes", len(t))
		}
		f.Topics = append(f.Topics, t)
	}
	var err error
	if c.PrivateKey != nil {
		f.KeyAsym, err = crypto.ToECDSA(c.PrivateKey)
	} else {
		f.KeySym, err = p.symKey(c)
	}
	if err != nil {
		return nil, err
	}
	id, err := p.shh.Subscribe(f)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.subs = append(p.subs, id)
	p.mu.Unlock()
	return object{"subscription": id}, nil
}

func (p *peer) post(c *command) (object, error) {
	if len(c.Topic) != whisper.TopicLength {
		return nil, fmt.Errorf("topic of %d bytes", len(c.Topic))
	}
	params := &whisper.MessageParams{
		TTL:      c.TTL, // whisperv6 makes 50 of 0
		Topic:    whisper.BytesToTopic(c.Topic),
		Payload:  c.Payload,
		Padding:  c.Padding,
		PoW:      whisper.DefaultMinimumPoW,
		WorkTime: 5,
	}
	if c.PowTarget != nil {
		params.PoW = *c.PowTarget
	}
	if c.PowTime != nil {
		params.WorkTime = *c.PowTime
	}
	var err error
	if c.SignWith != nil {
		if params.Src, err = crypto.ToECDSA(c.SignWith); err != nil {
			return nil, fmt.Errorf("sign_with: %v", err)
		}
	}
	if c.PublicKey != nil {
		params.Dst, err = crypto.UnmarshalPubkey(c.PublicKey)
	} else {
		params.KeySym, err = p.symKey(c)
	}
	if err != nil {
		return nil, err
	}
	msg, err := whisper.NewSentMessage(params)
	if err != nil {
		return nil, err
	}
	env, err := msg.Wrap(params)
	if err != nil {
		return nil, err
	}
	raw, err := rlp.EncodeToBytes(env)
	if err != nil {
		return nil, err
	}
	// The node checks its own envelopes like anybody else's, so this fails for
	// too little PoW or a topic outside its own bloom filter.
	return object{"hash": env.Hash(), "rlp": hexutil.Encode(raw), "pow": jsonFloat(env.PoW())}, p.shh.Send(env)
}

// requestMail asks a mailserver in the layout of go-ethereum's own client
// (cmd/wnode): two seconds and a bloom filter, without an RLP list around them.
func (p *peer) requestMail(c *command) (object, error) {
	if c.From == nil || c.To == nil {
		return nil, errors.New("from or to is missing")
	}
	bloom := []byte(c.Bloom)
	for _, t := range c.Topics {
		if bloom == nil {
			bloom = make([]byte, whisper.BloomFilterSize)
		}
		for i, b := range whisper.TopicToBloom(whisper.BytesToTopic(t)) {
			bloom[i] |= b
		}
	}
	payload := make([]byte, 8, 8+len(bloom))
	binary.BigEndian.PutUint32(payload, *c.From)
	binary.BigEndian.PutUint32(payload[4:], *c.To)
	params := &whisper.MessageParams{
		Payload:  append(payload, bloom...),
		PoW:      whisper.DefaultMinimumPoW,
		WorkTime: 5,
	}
	if c.PowTarget != nil {
		params.PoW = *c.PowTarget
	}
	if !c.Unsigned {
		params.Src = p.key
	}
	var err error
	if c.PublicKey != nil {
		params.Dst, err = crypto.UnmarshalPubkey(c.PublicKey)
	} else {
		params.KeySym, err = p.symKey(c)
	}
	if err != nil {
		return nil, err
	}
	msg, err := whisper.NewSentMessage(params)
	if err != nil {
		return nil, err
	}
	env, err := msg.Wrap(params)
	if err != nil {
		return nil, err
	}
	return object{"hash": env.Hash(), "pow": jsonFloat(env.PoW())}, p.shh.RequestHistoricMessages(c.Peer, env)
}

func (p *peer) peers() object {
	list := []object{}
	for _, info := range p.srv.PeersInfo() {
		list = append(list, object{
			"id":      "0x" + info.ID,
			"enode":   info.Enode,
			"name":    info.Name,
			"caps":    info.Caps,
			"inbound": info.Network.Inbound,
		})
	}
	return object{"peers": list}
}

// symKey is the key given, or the one that whisperv6 derives from the password.
func (p *peer) symKey(c *command) ([]byte, error) {
	if c.SymKey != nil {
		return c.SymKey, nil
	}
	if c.Password == nil {
		return nil, errors.New("no key: one of sym_key, password, private_key (subscribe) or public_key (post)")
	}
	id, err := p.shh.AddSymKeyFromPassword(*c.Password)
	if err != nil {
		return nil, err
	}
	return p.shh.GetSymKey(id)
}

func envelope(raw []byte) (*whisper.Envelope, error) {
	env := new(whisper.Envelope)
	if err := rlp.DecodeBytes(raw, env); err != nil {
		return nil, fmt.Errorf("rlp: %v", err)
	}
	return env, nil
}

func publicKeyHex(k *ecdsa.PublicKey) interface{} {
	if k == nil {
		return nil
	}
	return hexutil.Encode(crypto.FromECDSAPub(k))
}

// jsonFloat is null for what JSON can't say: the PoW of an envelope with TTL 0
// is infinite.
func jsonFloat(f float64) interface{} {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return f
}
