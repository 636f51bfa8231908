// Command geth is a live Whisper peer for the interop tests: go-ethereum's
// whisperv6 on go-ethereum's devp2p, driven by JSON lines on stdin and stdout
// (see tests/interop/README.md). It only ever listens on the loopback
// interface and finds no peers by itself.
package main

import (
	"crypto/ecdsa"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/whisper/mailserver"
	whisper "github.com/ethereum/go-ethereum/whisper/whisperv6"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "shim" {
		shim()
		return
	}
	var (
		key        = flag.String("key", "", "node key, 0x hex (default: a fresh one)")
		minPow     = flag.Float64("min-pow", whisper.DefaultMinimumPoW, "minimum PoW accepted")
		maxMessage = flag.Uint("max-message-size", uint(whisper.DefaultMaxMessageSize), "largest packet accepted, in bytes")
		light      = flag.Bool("light", false, "announce a light node")
		bloom      = flag.String("bloom", "", "bloom filter, 0x hex of 64 bytes (default: none, a full node)")
		mail       = flag.String("mailserver", "", "directory of the archive of a mailserver (default: none)")
		mailPass   = flag.String("mailserver-password", "status-offline-inbox", "password of its requests")
		mailPow    = flag.Float64("mailserver-pow", 0, "minimum PoW of its requests")
		packets    = flag.Bool("packets", false, "report every packet as an event")
		verbosity  = flag.Int("verbosity", int(log.LvlWarn), "log level on stderr, 0 to 5")
	)
	flag.Parse()
	log.Root().SetHandler(log.LvlFilterHandler(log.Lvl(*verbosity), log.StreamHandler(os.Stderr, log.TerminalFormat(false))))

	nodeKey, err := parseNodeKey(*key)
	check(err)

	shh := whisper.StandaloneWhisperService(&whisper.Config{
		MaxMessageSize:                        uint32(*maxMessage),
		MinimumAcceptedPOW:                    *minPow,
		RestrictConnectionBetweenLightClients: true, // go-ethereum's default
	})
	shh.SetLightClientMode(*light)
	if *bloom != "" {
		b, err := hexutil.Decode(*bloom)
		check(err)
		check(shh.SetBloomFilter(b))
	}
	if *mail != "" {
		server := new(mailserver.WMailServer)
		check(server.Init(shh, *mail, *mailPass, *mailPow))
		defer server.Close()
		shh.RegisterServer(server)
	}
	check(shh.Start())

	srv := &p2p.Server{Config: p2p.Config{
		PrivateKey:      nodeKey,
		Name:            "interop-geth/v1.9.20",
		MaxPeers:        50,
		NoDiscovery:     true,
		ListenAddr:      "127.0.0.1:0",
		Protocols:       shh.Protocols(),
		EnableMsgEvents: *packets,
		Logger:          log.Root(),
	}}
	// Subscribed before the start, so that no peer can connect unseen.
	events := make(chan *p2p.PeerEvent, 64)
	srv.SubscribeEvents(events)
	go reportPeers(events)
	check(srv.Start())

	self := srv.Self()
	emit("ready", object{
		"flavour": "geth",
		// Not Self().URLv4(): that appends "?discport=0" when discovery is off.
		"enode": fmt.Sprintf("enode://%x@127.0.0.1:%d", crypto.FromECDSAPub(&nodeKey.PublicKey)[1:], self.TCP()),
		"id":    hexutil.Encode(self.ID().Bytes()),
	})

	p := &peer{srv: srv, shh: shh, key: nodeKey}
	go p.deliver()
	serve(os.Stdin, p.run)

	// Closing the server says goodbye to the peers. The Whisper service itself
	// is not stopped: that would wait for its 10 s tolerance timers.
	srv.Stop()
}

func parseNodeKey(hex string) (*ecdsa.PrivateKey, error) {
	if hex == "" {
		return crypto.GenerateKey()
	}
	b, err := hexutil.Decode(hex)
	if err != nil {
		return nil, fmt.Errorf("--key: %v", err)
	}
	return crypto.ToECDSA(b)
}

// reportPeers turns the server's feed into events. "Connected" means that both
// Hellos were accepted; the Status exchange comes after it.
func reportPeers(events <-chan *p2p.PeerEvent) {
	for e := range events {
		o := object{"peer": hexutil.Encode(e.Peer.Bytes())}
		switch e.Type {
		case p2p.PeerEventTypeAdd:
			emit("peer_connected", o)
		case p2p.PeerEventTypeDrop:
			o["reason"] = e.Error
			emit("peer_dropped", o)
		case p2p.PeerEventTypeMsgRecv, p2p.PeerEventTypeMsgSend:
			o["direction"] = "received"
			if e.Type == p2p.PeerEventTypeMsgSend {
				o["direction"] = "sent"
			}
			o["code"], o["size"] = *e.MsgCode, *e.MsgSize
			emit("packet", o)
		}
	}
}

// deliver polls the filters, since whisperv6 has no other way to get at
// received messages.
func (p *peer) deliver() {
	for range time.Tick(50 * time.Millisecond) {
		for _, id := range p.subscriptions() {
			f := p.shh.GetFilter(id)
			if f == nil {
				continue
			}
			for _, m := range f.Retrieve() {
				emit("message", object{
					"subscription": id,
					"hash":         m.EnvelopeHash,
					"topic":        hexutil.Encode(m.Topic[:]),
					"payload":      hexutil.Encode(m.Payload),
					"padding":      hexutil.Encode(m.Padding),
					"ttl":          m.TTL,
					"sent":         m.Sent,
					"pow":          jsonFloat(m.PoW),
					"src":          publicKeyHex(m.Src),
					"dst":          publicKeyHex(m.Dst),
				})
			}
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "geth peer:", err)
		os.Exit(1)
	}
}
