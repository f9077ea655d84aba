package backends

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// host looks at the host of u as it is written, which is all that is seen of it
// where a proxy resolves names.
func (r *Rules) host(u *url.URL) error {
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if isMetadata(name) {
		return Refuse("the metadata service of a cloud, which hands out credentials")
	}
	if strings.ContainsFunc(name, disguise) {
		return Refuse("a host in letters or digits that stand for others")
	}
	at, ok := literalHost(name)
	if !ok {
		return nil
	}
	root, _ := splitURL(u)
	_, port, _ := cutPort(root)
	return r.address(netip.AddrPortFrom(at, port), serverOf(u))
}

// Control is net.Dialer's ControlContext: it sees the address that a name resolved
// to, each time, so that no name and no redirect gets around the rules.
func (r *Rules) Control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return Refuse("not an address: " + address)
	}
	return r.address(at, "http://"+at.String()+"/")
}

// Dial gives a function that connects by the rules, as http.Transport.DialContext.
// own is the "host:port" that the user himself has named, if there is one: it is
// asked wherever it is.
func (r *Rules) Dial(d net.Dialer, own string) func(ctx context.Context, network, address string) (net.Conn, error) {
	ruled := d
	ruled.ControlContext = r.Control
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if own != "" && strings.EqualFold(address, own) {
			return d.DialContext(ctx, network, address)
		}
		return ruled.DialContext(ctx, network, address)
	}
}

func (r *Rules) address(at netip.AddrPort, prefix string) error {
	why := noServer(at.Addr())
	if why == "" || r != nil && r.literal[plain(at)] {
		return nil
	}
	return unless(prefix, why)
}

// noServer says why nobody is asked at an address; "" for those that may be.
func noServer(a netip.Addr) string {
	a = a.WithZone("").Unmap()
	if inner, ok := embedded(a); ok {
		if why := noServer(inner); why != "" {
			return why
		}
	}
	switch {
	case a.IsLinkLocalUnicast():
		return "a link-local address, where clouds keep credentials"
	case slices.Contains(metadataAddrs(), a):
		return "the metadata service of a cloud, which hands out credentials"
	case a.IsMulticast(), a.Is4() && a.As4()[0] >= 240:
		return "an address of many hosts"
	case a.IsUnspecified(), a.Is4() && a.As4()[0] == 0:
		return "no address of a host"
	}
	return ""
}

// metadataAddrs are those that are not link-local: of Alibaba, Azure, Oracle, AWS
// (twice) and Google.
func metadataAddrs() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{100, 100, 100, 200}), netip.AddrFrom4([4]byte{168, 63, 129, 16}), netip.AddrFrom4([4]byte{192, 0, 0, 192}),
		netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"), netip.MustParseAddr("fd20:ce::254"),
	}
}

func isMetadata(name string) bool {
	return slices.Contains([]string{"metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"}, name)
}

// embedded gives the IPv4 address that a translator would send a packet to: NAT64
// (RFC 6052), 6to4 (RFC 3056), and the old form with 96 zero bits.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	switch {
	case slices.Contains([]string{"64:ff9b::", "64:ff9b:1::"}, netip.PrefixFrom(a, 96).Masked().Addr().String()):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case netip.PrefixFrom(a, 96).Masked().Addr().IsUnspecified() && b[12] != 0:
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return a, false
}

// literalHost reads a host that is an address, in all the ways of inet_aton(3) too:
// "169.254.43518", "0xa9fea9fe", "2852039166".
func literalHost(name string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(name); err == nil {
		return a, true
	}
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		n, err := strconv.ParseUint(octal(part), 0, bits)
		if err != nil || strings.ContainsRune(part, '_') {
			return netip.Addr{}, false
		}
		all = all<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}), true
}

// disguise is true for what names in Unicode turn into plain digits, dots and letters:
// wide, mathematical and encircled ones. A proxy would resolve the result.
func disguise(c rune) bool {
	return c > 0x7f && (unicode.IsNumber(c) || unicode.IsPunct(c) || unicode.IsSymbol(c) || c >= 0xff00 && c <= 0xffef || c >= 0x1d400 && c <= 0x1d7ff)
}

// octal: in C a number that begins with 0 is octal, and 08 is none.
func octal(part string) string {
	if len(part) > 1 && part[0] == '0' && part[1] >= '0' && part[1] <= '9' {
		return "0o" + part[1:]
	}
	return part
}

// literalOf gives the address of a prefix's root whose host is one.
func literalOf(root string) (netip.AddrPort, bool) {
	name, port, ok := cutPort(root)
	a, isAddr := literalHost(name)
	return plain(netip.AddrPortFrom(a, port)), ok && isAddr
}

// cutPort takes "scheme://host:port" apart.
func cutPort(root string) (name string, port uint16, ok bool) {
	_, hostport, _ := strings.Cut(root, "://")
	name, text, err := net.SplitHostPort(hostport)
	n, badPort := strconv.ParseUint(text, 10, 16)
	return name, uint16(n), err == nil && badPort == nil
}

// plain is at as one address is always written.
func plain(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().WithZone("").Unmap(), at.Port())
}
