package manifest

// entryField is a bit for each key of an entry that is read.
type entryField uint8

const (
	fieldDigest entryField = 1 << iota
	fieldRef
	fieldSize
	fieldBirth
	fieldExtra
	fieldSkipCache
)

// decodeEntry decodes one value of contents from valid JSON. null counts as
// absent, as in W&B's SDK.
func decodeEntry(path string, raw []byte) (Entry, error) {
	if raw[0] != '{' {
		return Entry{}, badManifest(path, "entry must be an object, not "+clip(raw))
	}
	e := Entry{Path: path, Size: SizeUnknown}
	var seen entryField
	c := cursor{b: raw, i: 1}
	for c.more('}') {
		key, err := c.key()
		if err != nil {
			return Entry{}, badManifest(path, "key: "+err.Error())
		}
		field, err := e.set(key, &c)
		if err != nil {
			return Entry{}, badManifest(path, key+": "+err.Error())
		}
		if seen&field != 0 {
			return Entry{}, badManifest(path, "key '"+key+"' occurs twice")
		}
		seen |= field
	}
	if e.Digest == "" {
		return Entry{}, badManifest(path, "no digest")
	}
	return e, nil
}

// set decodes a value into the field of e that key names; 0 when there is none.
// local_path is such a key: a leak of the SDK's that means nothing elsewhere.
func (e *Entry) set(key string, c *cursor) (field entryField, err error) {
	switch key {
	case "digest":
		field = fieldDigest
		e.Digest, err = c.text()
	case "ref":
		field = fieldRef
		e.Ref, err = c.text()
	case "size":
		field = fieldSize
		e.Size, err = c.size()
	case "birthArtifactID":
		field = fieldBirth
		e.BirthArtifactID, err = c.text()
	case "extra":
		field = fieldExtra
		e.Extra, err = c.attributes()
	case "skip_cache":
		field = fieldSkipCache
		e.SkipCache, err = c.flag()
	default:
		c.raw()
	}
	return field, err
}
