package daemon

import "time"

// Status is what a daemon says of itself. Its JSON is that of `pinfs status`.
type Status struct {
	Daemon   *Process        `json:"daemon"` // nil when none runs
	Mounts   []MountStatus   `json:"mounts"`
	Cache    CacheStatus     `json:"cache"`
	Backends []BackendStatus `json:"backends"`
	Errors   []Fault         `json:"errors"`
}

// Process is the daemon itself.
type Process struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Uptime  float64   `json:"uptime"` // seconds
	Started time.Time `json:"started"`
}

// MountStatus is one mount.
type MountStatus struct {
	Dir      string    `json:"dir"`
	Ref      string    `json:"ref"`    // "" for all projects, "project", "project/mnist:v3"
	Open     string    `json:"open"`   // how files are opened: "stateless" or "passthrough"
	Verify   string    `json:"verify"` // VerifyFill or VerifyStrict
	Registry string    `json:"registry"`
	Since    time.Time `json:"since"`
	// Detached mounts are out of sight (umount --lazy) and end with their last user.
	Detached bool `json:"detached"`
	// Requests is how many requests the kernel sent.
	Requests uint64 `json:"requests"`
	// Fill is how far the mount's fill is; nil when none was asked for.
	Fill *FillStatus `json:"fill"`
	// Reads is how many of them asked for bytes of a file.
	Reads uint64 `json:"reads"`
	// Pushed counts the files that the kernel was given before it asked.
	Pushed uint64 `json:"pushed"`
	// OpenReason says why Open is what it is: how OpenAuto chose, or why there is no
	// passthrough though it was wanted.
	OpenReason string `json:"open_reason,omitempty"`
	// Unpinned are references without a pin that this mount has looked at, the first
	// of UnpinnedCount.
	Unpinned      []Unpinned `json:"unpinned"`
	UnpinnedCount int        `json:"unpinned_count"`
}

// Unpinned is a reference that nothing pins, and what a mount has found there: it
// shows that for as long as it lives.
type Unpinned struct {
	Path    string    `json:"path"` // in its version
	Ref     string    `json:"ref"`
	Since   time.Time `json:"since"` // when it was looked at
	Dir     bool      `json:"dir"`   // it is a directory of objects
	Objects int64     `json:"objects"`
	LeftOut int64     `json:"left_out"` // objects that can't be shown
	Error   string    `json:"error,omitempty"`
}

// CacheStatus is the cache; sizes in bytes.
type CacheStatus struct {
	Dir     string `json:"dir"`
	Used    int64  `json:"used"`
	Limit   int64  `json:"limit"`
	Objects int64  `json:"objects"`
	Hits    int64  `json:"hits"`
	Misses  int64  `json:"misses"`
	// Busy is how many parts are being fetched or written, and how many objects are being
	// checked: at 0 what is complete is on disk, and verified if it can be.
	Busy int64 `json:"busy"`
}

// BackendStatus is what was asked of the sources of one URI scheme.
type BackendStatus struct {
	Scheme    string     `json:"scheme"`
	Requests  int64      `json:"requests"`
	Errors    int64      `json:"errors"`
	Bytes     int64      `json:"bytes"` // received
	LastError string     `json:"last_error,omitempty"`
	LastTime  *time.Time `json:"last_error_time,omitempty"`
	// Of the source as a whole, which may have several schemes. Limit is how many
	// requests may be under way now, 0 if nothing bounds them; it falls when the
	// source asks to slow down, which Throttled counts.
	Limit     int   `json:"limit"`
	InFlight  int   `json:"in_flight"`
	Waiting   int   `json:"waiting"` // for one that is under way to end
	Throttled int64 `json:"throttled"`
	Retries   int64 `json:"retries"`
	// Hedged are second requests for what came late, HedgeWon those that came first.
	Hedged   int64 `json:"hedged"`
	HedgeWon int64 `json:"hedge_won"`
}

// Fault is the last error of one object, as a reader got it.
type Fault struct {
	Path    string    `json:"path"` // the file, below its mount point
	Ref     string    `json:"ref"`  // URI of the object, "" where none is meant
	Errno   string    `json:"errno"`
	Message string    `json:"message"`
	Time    time.Time `json:"time"`
}
