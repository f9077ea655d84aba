package snapshot

// packAlphabet is what version ids of S3 are made of: 64 characters, 6 bits each.
const packAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"

func packIndex(c byte) (uint32, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '.':
		return 62, true
	case c == '_':
		return 63, true
	}
	return 0, false
}

func packable(s string) bool {
	for i := range len(s) {
		if _, ok := packIndex(s[i]); !ok {
			return false
		}
	}
	return len(s) > 0 && len(s) < 256
}

// packedSize is the number of bytes for n characters, without the length.
func packedSize(n int) int { return (n*6 + 7) / 8 }

// appendPacked adds the length and the characters of a packable s.
func appendPacked(b []byte, s string) []byte {
	b = append(b, byte(len(s)))
	var acc, bits uint32
	for i := range len(s) {
		v, _ := packIndex(s[i])
		acc |= v << bits
		for bits += 6; bits >= 8; bits -= 8 {
			b = append(b, byte(acc))
			acc >>= 8
		}
	}
	if bits > 0 {
		b = append(b, byte(acc))
	}
	return b
}

// appendUnpacked adds n characters from raw, which has packedSize(n) bytes.
func appendUnpacked(b, raw []byte, n int) []byte {
	var acc, bits uint32
	for range n {
		if bits < 6 {
			acc |= uint32(raw[0]) << bits
			raw = raw[1:]
			bits += 8
		}
		b = append(b, packAlphabet[acc&63])
		acc >>= 6
		bits -= 6
	}
	return b
}
