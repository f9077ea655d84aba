package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
)

// checkTables checks the footers of badger's tables before badger sees them: it
// opens tables in goroutines of its own, and a damaged footer ends the process
// there, at this start and at each one after it. Blocks are another matter:
// their checksums are checked at each read, and the error comes back.
func checkTables(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := checkTable(name); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

var errFooter = errors.New("footer damaged")

// checkTable reads a table's end backwards: length of the checksum, checksum,
// length of the index, index.
func checkTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	at := fi.Size()
	sum, err := lastField(f, &at)
	if err != nil {
		return err
	}
	index, err := lastField(f, &at)
	if err != nil {
		return err
	}
	want, ok := parseChecksum(sum)
	if !ok {
		return errFooter
	}
	return y.VerifyChecksum(index, want)
}

// parseChecksum reads badger's protobuf message: algorithm and sum are the
// varints of fields 1 and 2.
func parseChecksum(b []byte) (*pb.Checksum, bool) {
	sum := &pb.Checksum{}
	for len(b) > 0 {
		tag := b[0]
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return nil, false
		}
		b = b[1+n:]
		switch {
		case tag == 1<<3 && (v == uint64(pb.Checksum_CRC32C) || v == uint64(pb.Checksum_XXHash64)):
			sum.Algo = pb.Checksum_Algorithm(v)
		case tag == 2<<3:
			sum.Sum = v
		default:
			return nil, false
		}
	}
	return sum, true
}

// lastField reads the field that ends at at, whose length follows it.
func lastField(f *os.File, at *int64) ([]byte, error) {
	var length [4]byte
	if *at < 4 {
		return nil, errFooter
	}
	if _, err := f.ReadAt(length[:], *at-4); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > *at-4 {
		return nil, errFooter
	}
	*at -= 4 + n
	b := make([]byte, n)
	_, err := f.ReadAt(b, *at)
	return b, err
}

// startsName counts starts that were followed by no clean end and no ten
// seconds of life. It ends with opening while badger opens.
const (
	startsName = "starts"
	opening    = " opening\n"
	maxStarts  = 20
)

// countStart notes a start. suspect says that the index had better be emptied:
// the last start died while opening it, or it kept dying soon after.
func (d *directory) countStart() (suspect bool, err error) {
	text, _ := os.ReadFile(d.join(startsName)) // absent: the last end was clean
	count, rest, _ := strings.Cut(string(text), " ")
	n, _ := strconv.Atoi(strings.TrimSpace(count))
	suspect = " "+rest == opening || n >= maxStarts
	if suspect {
		n = 0
	}
	return suspect, d.writeStarts(strconv.Itoa(n+1) + opening)
}

// opened notes that badger opened the index.
func (d *directory) opened() error {
	text, err := os.ReadFile(d.join(startsName))
	if err != nil {
		return err
	}
	return d.writeStarts(strings.TrimSuffix(string(text), opening) + "\n")
}

func (d *directory) writeStarts(text string) error {
	return os.WriteFile(d.join(startsName), []byte(text), 0o600)
}

// settled ends the count: the start went well.
func (d *directory) settled() { _ = os.Remove(d.join(startsName)) }
