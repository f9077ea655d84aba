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
		field, err := e.set(key, c.raw())
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

// set decodes raw into the field of e that key names; 0 when there is none.
// local_path is such a key: a leak of the SDK's that means nothing elsewhere.
func (e *Entry) set(key string, raw []byte) (field entryField, err error) {
	switch key {
	case "digest":
		field = fieldDigest
		e.Digest, err = textOf(raw)
	case "ref":
		field = fieldRef
		e.Ref, err = textOf(raw)
	case "size":
		field = fieldSize
		e.Size, err = sizeOf(raw)
	case "birthArtifactID":
		field = fieldBirth
		e.BirthArtifactID, err = textOf(raw)
	case "extra":
		field = fieldExtra
		e.Extra, err = objectOf(raw)
	case "skip_cache":
		field = fieldSkipCache
		e.SkipCache, err = flagOf(raw)
	}
	return field, err
}
