package integration_test

import (
	"fmt"
	"sort"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// action is a call that is made below both roots; do gives its outcome.
type action struct {
	kind, text string
	do         func(root string) string
}

// drawPath draws a path below a root: one that is there, or an odd or a wrong one.
func drawPath(t *rapid.T, tr tree) string {
	p := "/" + rapid.SampledFrom(tr.names).Draw(t, "path")
	which := rapid.IntRange(0, 15).Draw(t, "which path")
	if p == "/" && (which == 4 || which == 7) {
		return p // what is above is no part of the tree
	}
	switch which {
	case 0:
		return p + "/"
	case 1:
		return p + "/missing"
	case 2:
		return p + "/" + rapid.SampledFrom(oddNames).Draw(t, "name")
	case 3:
		return p + "/" + strings.Repeat("x", rapid.SampledFrom([]int{255, 256, 1024, 1025, 4000}).Draw(t, "name of length"))
	case 4:
		return p + "/.."
	case 5:
		return p + "/."
	case 6:
		return "/" + strings.Repeat("./", 2100) // longer than PATH_MAX
	case 7:
		return p + "/../" + rapid.SampledFrom(oddNames).Draw(t, "name")
	case 8:
		return p + "\xff\xfe"
	}
	return p
}

// drawAction draws a call with its arguments.
func drawAction(t *rapid.T, tr tree) action {
	p := drawPath(t, tr)
	kinds := []func(*rapid.T, string, tree) action{
		drawOpen, drawOpen, drawRead, drawRead, drawRead, drawSeek, drawMap, drawList, drawLook, drawLook, drawChange, drawChange, drawOnFile,
	}
	return kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")](t, p, tr)
}

var openFlags = []int{
	unix.O_WRONLY, unix.O_RDWR, unix.O_CREAT, unix.O_EXCL, unix.O_TRUNC, unix.O_APPEND, unix.O_DIRECTORY, unix.O_NOFOLLOW, unix.O_PATH,
	unix.O_DIRECT, unix.O_NOATIME, unix.O_NONBLOCK, unix.O_SYNC, unix.O_TMPFILE,
}

// drawOpen opens with any flags and tries what the descriptor is good for.
func drawOpen(t *rapid.T, p string, _ tree) action {
	flags := unix.O_CLOEXEC
	for range rapid.IntRange(0, 3).Draw(t, "flags") {
		flags |= rapid.SampledFrom(openFlags).Draw(t, "flag")
	}
	return action{"open", fmt.Sprintf("open(%q, %#o)", p, flags), func(root string) string {
		fd, err := unix.Open(root+p, flags, 0o644)
		if err != nil {
			return errno(err)
		}
		defer unix.Close(fd)
		buf := aligned(4096)
		n, err := unix.Pread(fd, buf, 0)
		_, werr := unix.Pwrite(fd, []byte("x"), 0)
		return fmt.Sprintf("ok read %s %s write %s fstat %s", bytesOf(buf[:max(n, 0)]), errno(err), errno(werr), statText(fd, "", unix.AT_EMPTY_PATH))
	}}
}

// aligned is memory that O_DIRECT takes.
func aligned(n int) []byte {
	buf := make([]byte, n+4096)
	return buf[(4096-int(uintptr(unsafe.Pointer(&buf[0]))%4096))%4096:][:n]
}

// withFile calls f with a file that is open for reading.
func withFile(path string, f func(fd int) string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "open " + errno(err)
	}
	defer unix.Close(fd)
	return f(fd)
}

// drawOffset draws an offset in or around a file of the tree.
func drawOffset(t *rapid.T) int64 {
	off := int64(rapid.SampledFrom(append([]int{3, 100, 299_999, 1 << 21}, edges...)).Draw(t, "offset"))
	return off + int64(rapid.IntRange(-3, 3).Draw(t, "more"))
}

// drawRead reads pieces at odd places.
func drawRead(t *rapid.T, p string, _ tree) action {
	var at []int64
	var lengths []int
	for range rapid.IntRange(1, 4).Draw(t, "reads") {
		at = append(at, drawOffset(t))
		lengths = append(lengths, rapid.SampledFrom([]int{0, 1, 7, 4096, 65536, 100_001, 1 << 20}).Draw(t, "length"))
	}
	return action{"read", fmt.Sprintf("pread(%q, %v, %v)", p, lengths, at), func(root string) string {
		return withFile(root+p, func(fd int) (all string) {
			for i, off := range at {
				buf := make([]byte, lengths[i])
				n, err := unix.Pread(fd, buf, off)
				all += fmt.Sprintf("%s %s; ", bytesOf(buf[:max(n, 0)]), errno(err))
			}
			return all
		})
	}}
}

// drawSeek moves about in a file and reads where that leads.
func drawSeek(t *rapid.T, p string, tr tree) action {
	off, whence := drawOffset(t), rapid.IntRange(0, 6).Draw(t, "whence")
	return action{"seek", fmt.Sprintf("lseek(%q, %d, %d)", p, off, whence), func(root string) string {
		return withFile(root+p, func(fd int) string {
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
				return "a directory " + errno(err)
			}
			at, err := unix.Seek(fd, off, whence)
			buf := make([]byte, 1000)
			n, rerr := unix.Read(fd, buf)
			here, herr := unix.Seek(fd, 0, unix.SEEK_CUR)
			return fmt.Sprintf("%s at %d read %s %s then %d %s", errno(err), at, bytesOf(buf[:max(n, 0)]), errno(rerr), here, errno(herr))
		})
	}}
}

// drawMap maps a part of a file and looks at all that is not past its end.
func drawMap(t *rapid.T, p string, _ tree) action {
	page, length := int64(rapid.IntRange(0, 20).Draw(t, "page")), rapid.SampledFrom([]int{0, 1, 4096, 70_000}).Draw(t, "length")
	prot := rapid.SampledFrom([]int{unix.PROT_READ, unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ | unix.PROT_EXEC}).Draw(t, "prot")
	how := rapid.SampledFrom([]int{unix.MAP_SHARED, unix.MAP_PRIVATE}).Draw(t, "how")
	return action{"mmap", fmt.Sprintf("mmap(%q, page %d, %d, %d, %d)", p, page, length, prot, how), func(root string) string {
		return withFile(root+p, func(fd int) string {
			mapped, err := unix.Mmap(fd, page*4096, length, prot, how)
			if err != nil {
				return errno(err)
			}
			defer func() { _ = unix.Munmap(mapped) }()
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil {
				return errno(err)
			}
			pages := (st.Size + 4095) / 4096 * 4096 // what is past the end of its last page is SIGBUS
			return "ok " + bytesOf(mapped[:min(int64(length), max(pages-page*4096, 0))])
		})
	}}
}

// dirent is a name as getdents64 gives it.
type dirent struct {
	name string
	kind byte
	next int64
}

func getdents(fd int, size int) ([]dirent, error) {
	buf := make([]byte, size)
	n, err := unix.Getdents(fd, buf)
	var all []dirent
	for p := buf[:max(n, 0)]; len(p) > 0; {
		length := int(*(*uint16)(unsafe.Pointer(&p[16])))
		name, _, _ := strings.Cut(string(p[19:length]), "\x00")
		all = append(all, dirent{name, p[18], *(*int64)(unsafe.Pointer(&p[8]))})
		p = p[length:]
	}
	return all, err
}

// listAll lists from where fd stands.
func listAll(fd, size int) (all []dirent, err error) {
	for {
		some, err := getdents(fd, size)
		if err != nil || len(some) == 0 {
			return all, err
		}
		all = append(all, some...)
	}
}

func sorted(all []dirent) string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = fmt.Sprintf("%q:%d", e.name, e.kind)
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}

// drawList lists a directory, goes back to where it was after some name, and lists on.
func drawList(t *rapid.T, p string, _ tree) action {
	size, which := rapid.SampledFrom([]int{300, 600, 4096, 1 << 16}).Draw(t, "buffer"), rapid.IntRange(0, 30).Draw(t, "back to")
	return action{"list", fmt.Sprintf("getdents(%q, %d, back to %d)", p, size, which), func(root string) string {
		return withFile(root+p, func(fd int) string {
			all, err := listAll(fd, size)
			if err != nil {
				return errno(err)
			}
			if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
				return errno(err)
			}
			again, err := listAll(fd, size)
			which := which % len(all)
			_, serr := unix.Seek(fd, all[which].next, unix.SEEK_SET)
			rest, rerr := listAll(fd, size)
			stable := sorted(rest) == sorted(all[which+1:])
			return fmt.Sprintf("ok %s; again the same: %t %s; behind the name: %t %s %s", sorted(all), sorted(again) == sorted(all), errno(err), stable, errno(serr), errno(rerr))
		})
	}}
}

// drawLook asks about a path without opening it.
func drawLook(t *rapid.T, p string, _ tree) action {
	mode := rapid.IntRange(0, 7).Draw(t, "mode")
	name := rapid.SampledFrom([]string{"user.none", "foo.bar", "", "user", strings.Repeat("x", 256)}).Draw(t, "attribute")
	looks := map[string]func(string) string{
		"stat":  func(f string) string { return statText(unix.AT_FDCWD, f, 0) },
		"lstat": func(f string) string { return statText(unix.AT_FDCWD, f, unix.AT_SYMLINK_NOFOLLOW) },
		"statx": func(f string) string {
			var st unix.Statx_t
			err := unix.Statx(unix.AT_FDCWD, f, 0, unix.STATX_BASIC_STATS, &st)
			return fmt.Sprintf("%s %o %d", errno(err), st.Mode, st.Nlink)
		},
		"access":    func(f string) string { return errno(unix.Access(f, uint32(mode))) },
		"faccessat": func(f string) string { return errno(unix.Faccessat(unix.AT_FDCWD, f, uint32(mode), unix.AT_EACCESS)) },
		"readlink": func(f string) string {
			n, err := unix.Readlink(f, make([]byte, 100))
			return fmt.Sprintf("%s %d", errno(err), n)
		},
		"getxattr": func(f string) string {
			n, err := unix.Getxattr(f, name, make([]byte, 100))
			return fmt.Sprintf("%s %d", errno(err), n)
		},
		"statfs": func(f string) string {
			var st unix.Statfs_t
			err := unix.Statfs(f, &st)
			return fmt.Sprintf("%s names of %d, read-only %t", errno(err), st.Namelen, st.Flags&unix.ST_RDONLY != 0)
		},
	}
	kind := rapid.SampledFrom(keys(looks)).Draw(t, "look")
	return action{kind, fmt.Sprintf("%s(%q, %d, %q)", kind, p, mode, name), func(root string) string { return looks[kind](root + p) }}
}

func keys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	sort.Strings(all)
	return all
}

// drawChange tries to change something: a read-only file system says no, and to whom
// first is part of it.
func drawChange(t *rapid.T, p string, tr tree) action {
	other := drawPath(t, tr)
	changes := map[string]func(root string) error{
		"mkdir":  func(r string) error { return unix.Mkdir(r+p, 0o755) },
		"rmdir":  func(r string) error { return unix.Rmdir(r + p) },
		"unlink": func(r string) error { return unix.Unlink(r + p) },
		"rename": func(r string) error { return unix.Rename(r+p, r+other) },
		"exchange": func(r string) error {
			return unix.Renameat2(unix.AT_FDCWD, r+p, unix.AT_FDCWD, r+other, unix.RENAME_EXCHANGE)
		},
		"no replace": func(r string) error {
			return unix.Renameat2(unix.AT_FDCWD, r+p, unix.AT_FDCWD, r+other, unix.RENAME_NOREPLACE)
		},
		"link":        func(r string) error { return unix.Link(r+p, r+other) },
		"symlink":     func(r string) error { return unix.Symlink("x", r+p) },
		"mknod":       func(r string) error { return unix.Mknod(r+p, unix.S_IFREG|0o644, 0) },
		"mkfifo":      func(r string) error { return unix.Mkfifo(r+p, 0o644) },
		"chmod":       func(r string) error { return unix.Chmod(r+p, 0o600) },
		"chown":       func(r string) error { return unix.Chown(r+p, 1, 1) },
		"lchown":      func(r string) error { return unix.Lchown(r+p, 1, 1) },
		"truncate":    func(r string) error { return unix.Truncate(r+p, 0) },
		"utimes":      func(r string) error { return unix.Utimes(r+p, make([]unix.Timeval, 2)) },
		"utimensat":   func(r string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, r+p, make([]unix.Timespec, 2), 0) },
		"setxattr":    func(r string) error { return unix.Setxattr(r+p, "user.x", []byte("y"), 0) },
		"removexattr": func(r string) error { return unix.Removexattr(r+p, "user.x") },
	}
	kind := rapid.SampledFrom(keys(changes)).Draw(t, "change")
	return action{kind, fmt.Sprintf("%s(%q, %q)", kind, p, other), func(root string) string { return errno(changes[kind](root)) }}
}

// drawOnFile does to an open file what is seldom done.
func drawOnFile(t *rapid.T, p string, _ tree) action {
	off, n := drawOffset(t), rapid.SampledFrom([]int{0, 1, 5000, 100_000}).Draw(t, "length")
	calls := map[string]func(fd int) string{
		"fsync":     func(fd int) string { return errno(unix.Fsync(fd)) },
		"fdatasync": func(fd int) string { return errno(unix.Fdatasync(fd)) },
		"ftruncate": func(fd int) string { return errno(unix.Ftruncate(fd, off)) },
		"fallocate": func(fd int) string { return errno(unix.Fallocate(fd, 0, off, int64(n))) },
		"fchmod":    func(fd int) string { return errno(unix.Fchmod(fd, 0o600)) },
		"fchown":    func(fd int) string { return errno(unix.Fchown(fd, 1, 1)) },
		"fsetxattr": func(fd int) string { return errno(unix.Fsetxattr(fd, "user.x", []byte("y"), 0)) },
		"fadvise":   func(fd int) string { return errno(unix.Fadvise(fd, off, int64(n), unix.FADV_WILLNEED)) },
		"flock":     func(fd int) string { return errno(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)) },
		"lock": func(fd int) string {
			return errno(unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK, Start: max(off, 0), Len: int64(n)}))
		},
		"read": func(fd int) string {
			got, err := unix.Read(fd, make([]byte, n))
			return fmt.Sprintf("%s %d", errno(err), got)
		},
		"readv": func(fd int) string {
			a, b := make([]byte, n), make([]byte, 4097)
			got, err := unix.Preadv(fd, [][]byte{a, b}, off)
			return fmt.Sprintf("%s %s", errno(err), bytesOf(append(a, b...)[:max(got, 0)]))
		},
		"sendfile": func(fd int) string { return copyOut(fd, off, n) },
	}
	kind := rapid.SampledFrom(keys(calls)).Draw(t, "call")
	return action{"f " + kind, fmt.Sprintf("%s(%q, %d, %d)", kind, p, off, n), func(root string) string { return withFile(root+p, calls[kind]) }}
}

// copyOut has the kernel copy from fd to memory.
func copyOut(fd int, off int64, n int) string {
	to, err := unix.MemfdCreate("to", unix.MFD_CLOEXEC)
	if err != nil {
		return errno(err)
	}
	defer unix.Close(to)
	copied, err := unix.Sendfile(to, fd, &off, n)
	buf := make([]byte, n)
	got, rerr := unix.Pread(to, buf, 0)
	return fmt.Sprintf("%s %d %s %s", errno(err), copied, bytesOf(buf[:max(got, 0)]), errno(rerr))
}
