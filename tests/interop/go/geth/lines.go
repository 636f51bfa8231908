package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"

	"github.com/ethereum/go-ethereum/common/hexutil"
)

// The line protocol of tests/interop/README.md: one JSON object per line,
// commands on stdin, answers and events on stdout.

// object is one outgoing line.
type object map[string]interface{}

// command is one incoming line: the union of the arguments of all commands.
// Pointers tell "not given" from zero.
type command struct {
	ID  int64  `json:"id"`
	Cmd string `json:"cmd"`

	// keys
	SymKey     hexutil.Bytes `json:"sym_key"`
	Password   *string       `json:"password"`
	PrivateKey hexutil.Bytes `json:"private_key"`
	PublicKey  hexutil.Bytes `json:"public_key"`
	SignWith   hexutil.Bytes `json:"sign_with"`

	// subscribe
	Topics   []hexutil.Bytes `json:"topics"`
	MinPow   float64         `json:"min_pow"`
	AllowP2P bool            `json:"allow_p2p"`

	// post, send_raw, send_p2p
	Topic     hexutil.Bytes `json:"topic"`
	Payload   hexutil.Bytes `json:"payload"`
	Padding   hexutil.Bytes `json:"padding"`
	TTL       uint32        `json:"ttl"`
	PowTarget *float64      `json:"pow_target"`
	PowTime   *uint32       `json:"pow_time"`
	RLP       hexutil.Bytes `json:"rlp"`

	// request_mail
	From     *uint32 `json:"from"`
	To       *uint32 `json:"to"`
	Unsigned bool    `json:"unsigned"`

	// peers and settings
	Enode string        `json:"enode"`
	Peer  hexutil.Bytes `json:"peer"`
	Pow   *float64      `json:"pow"`
	Bloom hexutil.Bytes `json:"bloom"`
	Size  *uint32       `json:"size"`
}

// stdout is shared by the command loop and the event goroutines.
var stdout struct {
	sync.Mutex
	enc *json.Encoder
}

func init() { stdout.enc = json.NewEncoder(os.Stdout) }

func emit(event string, o object) {
	if o == nil {
		o = object{}
	}
	o["event"] = event
	stdout.Lock()
	defer stdout.Unlock()
	if err := stdout.enc.Encode(o); err != nil {
		// Nobody can be told any more; a test waiting for the line must see
		// the end of the stream instead of a silent gap.
		os.Exit(1)
	}
}

// serve runs the commands one after another, in the order they arrive, until
// the input ends or "quit".
func serve(in io.Reader, run func(*command) (object, error)) {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		c, answer := new(command), object(nil)
		if err = parse(line, c); err == nil {
			answer, err = run(c)
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
		if c.Cmd == "quit" {
			return
		}
	}
}

// parse refuses unknown members: a misspelt option in a test must not pass
// for the default.
func parse(line []byte, c *command) error {
	// The id first, leniently, so that even a refused line gets its answer.
	var id struct {
		ID int64 `json:"id"`
	}
	_ = json.Unmarshal(line, &id)
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	c.ID = id.ID
	return err
}
