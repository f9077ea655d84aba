package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	sst "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// checkTables checks badger's tables before badger sees them: it opens and
// compacts them in goroutines of its own, where a damaged index or block ends
// the process, at this start and at each one after it. The index of each table
// and its last block are checked always, since opening reads them; the other
// blocks when full.
func checkTables(dir string, full bool) (err error) {
	defer recovered(&err)
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a new index, or badger says what it misses
	}
	if err != nil {
		return err
	}
	defer f.Close()
	// Only these: a crash leaves half a table that nothing refers to.
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(dir))
	if err != nil {
		return err
	}
	for id := range manifest.Tables {
		if err := checkTable(sst.NewFilename(id, dir), full); err != nil {
			return fmt.Errorf("table %d: %w", id, err)
		}
	}
	return nil
}

var errTable = errors.New("damaged")

// checkTable reads a table's end backwards: length of the checksum, checksum,
// length of the index, index; then its blocks.
func checkTable(name string, full bool) error {
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
	data, err := lastField(f, &at)
	if err != nil {
		return err
	}
	if err := checkSum(data, sum); err != nil {
		return err
	}
	index := fb.GetRootAsTableIndex(data, 0)
	first := 0
	if !full {
		first = max(0, index.OffsetsLength()-1)
	}
	for i := first; i < index.OffsetsLength(); i++ {
		var o fb.BlockOffset
		if !index.Offsets(&o, i) {
			return errTable
		}
		if err := checkBlock(f, int64(o.Offset()), int64(o.Len())); err != nil {
			return err
		}
	}
	return nil
}

// checkBlock: a block ends with its checksum and that one's length.
func checkBlock(f *os.File, off, n int64) error {
	end := off + n
	sum, err := lastField(f, &end)
	if err != nil || end < off {
		return errors.Join(errTable, err)
	}
	data := make([]byte, end-off)
	if _, err := f.ReadAt(data, off); err != nil {
		return err
	}
	return checkSum(data, sum)
}

func checkSum(data, sum []byte) error {
	want, ok := parseChecksum(sum)
	if !ok {
		return errTable
	}
	return y.VerifyChecksum(data, want)
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
		return nil, errTable
	}
	if _, err := f.ReadAt(length[:], *at-4); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > *at-4 {
		return nil, errTable
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
	fullAfter  = 2  // starts after which every block of the tables is checked
	maxStarts  = 20 // starts after which the index is not trusted any more
)

// countStart notes a start and tells how many before it went wrong. hopeless:
// the last one died while opening the index, or they kept dying soon after.
func (d *directory) countStart() (before int, hopeless bool, err error) {
	text, _ := os.ReadFile(d.join(startsName)) // absent: the last end was clean
	count, rest, _ := strings.Cut(string(text), " ")
	before, _ = strconv.Atoi(strings.TrimSpace(count))
	hopeless = " "+rest == opening || before >= maxStarts
	n := before + 1
	if hopeless {
		n = 1
	}
	return before, hopeless, d.writeStarts(strconv.Itoa(n) + opening)
}

// opened notes that badger opened the index.
func (d *directory) opened() error {
	text, err := os.ReadFile(d.join(startsName))
	if err != nil {
		return err
	}
	return d.writeStarts(strings.TrimSuffix(string(text), opening) + "\n")
}

// suspect has the next start check the index in full.
func (d *directory) suspect() error { return d.writeStarts(strconv.Itoa(fullAfter) + "\n") }

func (d *directory) writeStarts(text string) error {
	return os.WriteFile(d.join(startsName), []byte(text), 0o600)
}

// settled ends the count: the start went well.
func (d *directory) settled() { _ = os.Remove(d.join(startsName)) }
