// Writes a directory of LevelDB with goleveldb, the library that status-go uses: what the reader
// of archives is tested with.
//
//	leveldb DIR < commands
//
// A command is a line: "put KEY VALUE", "delete KEY" (hex), "compact" (all into tables), or
// "reopen" (close, which leaves a log, and open again, which makes a table of it).
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "leveldb:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("expected a directory")
	}
	// Small, so that little data makes several tables, levels and blocks. Compression is Snappy,
	// as by default.
	options := &opt.Options{
		WriteBuffer:         8 << 10,
		CompactionTableSize: 4 << 10,
		BlockSize:           1 << 10,
	}
	db, err := leveldb.OpenFile(os.Args[1], options)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		var bytes [2][]byte
		for i, word := range words[1:] {
			if bytes[i], err = hex.DecodeString(word); err != nil {
				return err
			}
		}
		switch words[0] {
		case "put":
			err = db.Put(bytes[0], bytes[1], nil)
		case "delete":
			err = db.Delete(bytes[0], nil)
		case "compact":
			err = db.CompactRange(util.Range{})
		case "reopen":
			if err = db.Close(); err == nil {
				db, err = leveldb.OpenFile(os.Args[1], options)
			}
		default:
			err = fmt.Errorf("no command %q", words[0])
		}
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return db.Close()
}
