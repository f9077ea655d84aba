package lister

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Request says what to list: Names entries of Dir from offset From on, see lseek(2).
// Device is the number of the mount: nothing else is listed that may be there.
type Request struct {
	Dir    string
	Device uint64
	From   int64
	Names  int
}

// wireRequest is Request as it is sent. Names of files need not be UTF-8, which
// strings of JSON are.
type wireRequest struct {
	Dir    []byte `json:"dir"`
	Device uint64 `json:"device"`
	From   int64  `json:"from"`
	Names  int    `json:"names"`
}

// wireAnswer tells how many names there were in all, and why one of the directories
// could not be listed.
type wireAnswer struct {
	Names int    `json:"names"`
	Error string `json:"error,omitempty"`
}

const (
	// bufferSize is what the kernel's libraries ask for at once.
	bufferSize = 32 << 10
	// MaxRequests bounds what is listed at once.
	MaxRequests = 32
	// maxLine bounds that: paths of 4,096 bytes in base64, and the rest.
	maxLine = MaxRequests * (8 << 10)
)

// Serve answers requests until in ends.
func Serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	answers := json.NewEncoder(out)
	buf := make([]byte, bufferSize)
	for lines.Scan() {
		var all []wireRequest
		if err := json.Unmarshal(lines.Bytes(), &all); err != nil {
			return fmt.Errorf("list ahead: %w", err)
		}
		if err := answers.Encode(listAll(all, buf)); err != nil {
			return fmt.Errorf("list ahead: %w", err)
		}
	}
	return lines.Err()
}

// listAll lists one directory after the other.
func listAll(all []wireRequest, buf []byte) (a wireAnswer) {
	for _, r := range all {
		names, err := list(Request{string(r.Dir), r.Device, r.From, r.Names}, buf)
		if a.Names += names; err != nil {
			a.Error = fmt.Sprintf("list %s: %v", r.Dir, err)
		}
	}
	return a
}

// errElsewhere is for a directory that is not the mount's.
var errElsewhere = errors.New("something else is mounted there")

// list reads names, for what the kernel learns of it, and counts them.
func list(r Request, buf []byte) (names int, err error) {
	fd, err := unix.Open(r.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if st.Dev != r.Device {
		return 0, errElsewhere
	}
	if _, err := unix.Seek(fd, r.From, io.SeekStart); err != nil {
		return 0, err
	}
	for names < r.Names {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n <= 0 {
			return names, err
		}
		names += count(buf[:n])
	}
	return names, nil
}

// count gives how many records of getdents64(2) there are.
func count(b []byte) (n int) {
	const recordLength = 16 // its offset in struct linux_dirent64
	for len(b) > recordLength+2 {
		size := int(binary.NativeEndian.Uint16(b[recordLength:]))
		if size == 0 || size > len(b) {
			break
		}
		b = b[size:]
		n++
	}
	return n
}
