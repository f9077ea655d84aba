package manifest

// Name is what people type for a version: [project/]artifact[:version|alias].
type Name struct {
	Project  string
	Artifact string
	// Version is "v3", an alias, or "" for :latest.
	Version string
}

// Latest is the alias that is never stored: the highest version that is not deleted.
const Latest = "latest"

// DefaultProject is the project of names that have none.
const DefaultProject = "default"
