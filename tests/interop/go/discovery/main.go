// Command discovery is a live node of go-ethereum's discovery for the interop
// tests: legacy v5 ("topic discovery") or v4, driven by JSON lines on stdin and
// stdout (see tests/interop/README.md). It only ever listens on the loopback
// interface, and starts with the bootnodes it is given.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/discover"
	"github.com/ethereum/go-ethereum/p2p/discv5"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

type object map[string]interface{}

// command is one incoming line: the union of the arguments of all commands.
type command struct {
	ID    int64  `json:"id"`
	Cmd   string `json:"cmd"`
	Topic string `json:"topic"`
	Enode string `json:"enode"`
	Text  string `json:"text"`
}

var stdout struct {
	sync.Mutex
	enc *json.Encoder
}

func emit(event string, o object) {
	o["event"] = event
	stdout.Lock()
	defer stdout.Unlock()
	if stdout.enc.Encode(o) != nil {
		os.Exit(1)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "discovery:", err)
		os.Exit(1)
	}
}

func main() {
	var (
		v4        = flag.Bool("v4", false, "speak discovery v4, not legacy v5")
		bootnode  = flag.String("bootnode", "", "enode of a bootnode (default: none)")
		verbosity = flag.Int("verbosity", int(log.LvlWarn), "log level on stderr, 0 to 5")
	)
	flag.Parse()
	stdout.enc = json.NewEncoder(os.Stdout)
	log.Root().SetHandler(log.LvlFilterHandler(log.Lvl(*verbosity), log.StreamHandler(os.Stderr, log.TerminalFormat(false))))
	key, err := crypto.GenerateKey()
	check(err)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(err)
	port := conn.LocalAddr().(*net.UDPAddr).Port
	url := enode.NewV4(&key.PublicKey, net.IPv4(127, 0, 0, 1), port, port)

	var run func(*command) (object, error)
	if *v4 {
		run = serveV4(key, conn, port, *bootnode)
	} else {
		run = serveV5(key, conn, *bootnode)
	}
	emit("ready", object{"enode": url.URLv4(), "id": url.ID().String()})

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		c := new(command)
		answer, err := object(nil), json.Unmarshal(lines.Bytes(), c)
		if err == nil {
			if c.Cmd == "record" {
				answer, err = record(c.Text)
			} else {
				answer, err = run(c)
			}
		}
		if answer == nil {
			answer = object{}
		}
		answer["id"] = c.ID
		if err != nil {
			answer["message"] = err.Error()
			emit("error", answer)
			continue
		}
		emit("ok", answer)
	}
}

func serveV5(key *ecdsa.PrivateKey, conn *net.UDPConn, bootnode string) func(*command) (object, error) {
	network, err := discv5.ListenUDP(key, conn, "", nil)
	check(err)
	if bootnode != "" {
		node, err := discv5.ParseNode(bootnode)
		check(err)
		check(network.SetFallbackNodes([]*discv5.Node{node}))
	}
	return func(c *command) (object, error) {
		switch c.Cmd {
		case "register":
			go network.RegisterTopic(discv5.Topic(c.Topic), nil)
			return nil, nil
		case "search":
			period, found, lookups := make(chan time.Duration, 1), make(chan *discv5.Node, 16), make(chan bool, 64)
			go network.SearchTopic(discv5.Topic(c.Topic), period, found, lookups)
			period <- time.Second
			go func() {
				for range lookups {
				}
			}()
			go func() {
				for node := range found {
					emit("found", object{"topic": c.Topic, "enode": node.String()})
				}
			}()
			return nil, nil
		case "resolve":
			node, err := discv5.ParseNode(c.Enode)
			if err != nil {
				return nil, err
			}
			found := network.Resolve(node.ID)
			return object{"found": found != nil}, nil
		}
		return nil, fmt.Errorf("unknown command %q", c.Cmd)
	}
}

func serveV4(key *ecdsa.PrivateKey, conn *net.UDPConn, port int, bootnode string) func(*command) (object, error) {
	db, err := enode.OpenDB("")
	check(err)
	local := enode.NewLocalNode(db, key)
	local.SetStaticIP(net.IPv4(127, 0, 0, 1))
	local.Set(enr.UDP(port))
	local.Set(enr.TCP(port))
	config := discover.Config{PrivateKey: key}
	if bootnode != "" {
		node, err := enode.ParseV4(bootnode)
		check(err)
		config.Bootnodes = []*enode.Node{node}
	}
	network, err := discover.ListenV4(conn, local, config)
	check(err)
	return func(c *command) (object, error) {
		switch c.Cmd {
		case "self":
			return object{"record": network.Self().String()}, nil
		case "ping":
			node, err := enode.ParseV4(c.Enode)
			if err != nil {
				return nil, err
			}
			return nil, network.Ping(node)
		}
		return nil, fmt.Errorf("unknown command %q", c.Cmd)
	}
}

// record reads the text of a node record as go-ethereum does.
func record(text string) (object, error) {
	node, err := enode.Parse(enode.ValidSchemes, text)
	if err != nil {
		return nil, err
	}
	return object{"text": node.String(), "node_id": node.ID().String(), "seq": node.Seq(), "url": node.URLv4()}, nil
}
