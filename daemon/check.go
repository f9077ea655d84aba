package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// CheckRequest names the version whose cached content is to be checked.
type CheckRequest struct {
	Registry string `json:"registry"` // URL
	Project  string `json:"project"`
	Ref      string `json:"ref"` // "mnist:v3"
}

// CheckResult is what a check of cached content found, in files.
type CheckResult struct {
	Checked int64 `json:"checked"` // all of it is cached and was read
	OK      int64 `json:"ok"`
	// Unchecked files are not cached, or only partly: then what is there was
	// checked, and was right.
	Unchecked   int64 `json:"unchecked"`
	FailedCount int64 `json:"failed_count"`
	// Failed has the first 10,000.
	Failed []CheckFailure `json:"failed,omitempty"`
}

// CheckFailure is one file whose cached content was not what was written.
type CheckFailure struct {
	Path     string `json:"path"`
	Ref      string `json:"ref"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Check    string `json:"check"` // "crc32c", "md5", …
}

const (
	maxCheckFailures = 10_000
	checkWorkers     = 4
	checkReport      = 100 * time.Millisecond // between two reports of progress
)

// checking is a check under way.
type checking struct {
	cache  *cache.Cache
	snap   *snapshot.Snapshot
	report func(files int64)

	mu     sync.Mutex // guards all below
	result CheckResult
	files  int64
	last   time.Time // of a report
}

// CheckCached checks what c holds of the files of s, asking no source; what
// fails is dropped, see cache.CheckLocal. report, which may be nil, hears now and
// then how many files are done. The error is for what stopped it.
func CheckCached(ctx context.Context, c *cache.Cache, s *snapshot.Snapshot, report func(files int64)) (CheckResult, error) {
	k := &checking{cache: c, snap: s, report: report}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(checkWorkers)
	for i := range s.Nodes() {
		if inner.Err() != nil {
			break
		}
		group.Go(func() error { return k.check(inner, i) })
	}
	err := group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return k.result, err
}

func (k *checking) check(ctx context.Context, index uint32) error {
	node, err := k.snap.Node(index)
	if err != nil || node.Dir {
		return err
	}
	obj, err := k.snap.Object(index)
	if err != nil {
		return err
	}
	l, err := k.cache.CheckLocal(ctx, obj)
	if err != nil {
		return err
	}
	path := ""
	if !l.OK() {
		if path, err = k.snap.Path(index); err != nil {
			return err
		}
	}
	k.note(path, obj, l)
	return nil
}

func (k *checking) note(path string, obj manifest.Object, l cache.LocalCheck) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := &k.result
	switch {
	case !l.OK():
		r.Checked++
		r.FailedCount++
		if len(r.Failed) < maxCheckFailures {
			r.Failed = append(r.Failed, CheckFailure{path, obj.Ref, l.Expected, l.Found, l.Check})
		}
	case l.Complete:
		r.Checked++
		r.OK++
	default:
		r.Unchecked++
	}
	k.files++
	if k.report != nil && time.Since(k.last) >= checkReport {
		k.last = time.Now()
		k.report(k.files)
	}
}

// Check checks what this daemon's cache holds of a version.
func (d *Daemon) Check(ctx context.Context, req CheckRequest, report func(files int64)) (CheckResult, error) {
	name, err := manifest.ParseName(req.Ref)
	if err != nil {
		return CheckResult{}, err
	}
	name.Project = req.Project
	r, err := d.acquire(ctx, req.Registry)
	if err != nil {
		return CheckResult{}, err
	}
	defer d.release(r)
	v, err := r.registry.Resolve(ctx, name)
	if err != nil {
		return CheckResult{}, err
	}
	s, err := r.registry.OpenSnapshot(ctx, v)
	if err != nil {
		return CheckResult{}, err
	}
	defer s.Close()
	return CheckCached(ctx, d.cache, s, report)
}

// checkLine is one line of the answer: progress, one failure, or the end.
type checkLine struct {
	Files  int64         `json:"files,omitempty"`
	Failed *CheckFailure `json:"failed,omitempty"`
	Result *CheckResult  `json:"result,omitempty"` // without its failures
	Error  *wireError    `json:"error,omitempty"`
}

// checkFor answers with lines as it goes; a client that leaves stops it.
func (d *Daemon) checkFor(w http.ResponseWriter, r *http.Request, req CheckRequest) {
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	result, err := d.Check(r.Context(), req, func(files int64) {
		if lines.Encode(checkLine{Files: files}) == nil {
			_ = flush.Flush() // its context tells when the client is gone
		}
	})
	if err != nil {
		_ = lines.Encode(checkLine{Error: toWire(err)})
		return
	}
	for i := range result.Failed {
		_ = lines.Encode(checkLine{Failed: &result.Failed[i]})
	}
	result.Failed = nil
	_ = lines.Encode(checkLine{Result: &result})
}

// Check asks the daemon for a check, for as long as ctx lets it: its end stops
// the check. ErrNoDaemon also when a daemon ends meanwhile.
func (c *Client) Check(ctx context.Context, req CheckRequest, report func(files int64)) (CheckResult, error) {
	response, err := c.send(ctx, http.MethodPost, "/v1/check", req)
	if err != nil {
		return CheckResult{}, c.failed(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return CheckResult{}, c.failed(ctx, readAnswer(response, &struct{}{}))
	}
	result, err := readCheck(response, report)
	if err != nil {
		return result, c.failed(ctx, err)
	}
	return result, nil
}

// readCheck reads the lines of an answer to its end.
func readCheck(response *http.Response, report func(files int64)) (CheckResult, error) {
	var failed []CheckFailure
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxMessage)
	for lines.Scan() {
		var line checkLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return CheckResult{}, err
		}
		switch {
		case line.Error != nil:
			return CheckResult{}, line.Error.fromWire()
		case line.Failed != nil && len(failed) < maxCheckFailures:
			failed = append(failed, *line.Failed)
		case line.Result != nil:
			line.Result.Failed = failed
			return *line.Result, nil
		case report != nil && line.Files > 0:
			report(line.Files)
		}
	}
	return CheckResult{}, errors.Join(errors.New("the answer ended early"), lines.Err())
}

// CheckOrOpen checks what the cache directory holds of a version: through its
// daemon, or, while there is none, by opening it with open. Whoever else has the
// directory for a moment is waited for.
func (c *Client) CheckOrOpen(ctx context.Context, req CheckRequest, s *snapshot.Snapshot,
	open func() (*cache.Cache, error), report func(files int64)) (CheckResult, error) {
	for begin := time.Now(); ; {
		result, err := c.Check(ctx, req, report)
		if !errors.Is(err, ErrNoDaemon) {
			return result, err
		}
		if result, err = c.checkHere(ctx, s, open, report); manifest.KindOf(err) != manifest.KindBusy || time.Since(begin) > busyWait {
			return result, err
		}
		select {
		case <-ctx.Done():
			return CheckResult{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// checkHere opens the cache in this process. One that was never made holds
// nothing, and stays unmade.
func (c *Client) checkHere(ctx context.Context, s *snapshot.Snapshot, open func() (*cache.Cache, error), report func(files int64)) (CheckResult, error) {
	if _, err := os.Stat(c.dir); errors.Is(err, os.ErrNotExist) {
		return CheckResult{Unchecked: s.Summary().Files}, nil
	}
	cached, err := open()
	if err != nil {
		return CheckResult{}, err
	}
	result, err := CheckCached(ctx, cached, s, report)
	return result, errors.Join(err, cached.Close())
}
