package daemon

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/pinfs/pinfs/manifest"
)

// Warm asks the daemon to bring a version to its cache, for as long as ctx lets it:
// its end stops the job. ErrNoDaemon when there is none. When the daemon has
// nothing left to do, Warm returns after its end.
func (c *Client) Warm(ctx context.Context, req WarmRequest, report func(WarmProgress)) (WarmResult, error) {
	response, err := c.send(ctx, http.MethodPost, "/v1/warm", req)
	if err != nil {
		return WarmResult{}, c.failed(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return WarmResult{}, c.failed(ctx, readAnswer(response, &struct{}{}))
	}
	result, err := readWarm(response, report)
	response.Body.Close()
	if result.Last && result.PID != os.Getpid() {
		awaitEnd(ctx, result.PID)
	}
	switch failed := c.failed(ctx, err); {
	case err == nil:
		return result, nil
	case errors.Is(failed, ErrNoDaemon):
		return result, &manifest.Error{Kind: manifest.KindOther, Op: "warm", Ref: req.Project + "/" + req.Ref,
			Msg: "the daemon ended in the middle of it", Hint: "warm again to go on; see " + logPath(c.dir)}
	default:
		return result, failed
	}
}

// readWarm reads the lines of an answer to its end.
func readWarm(response *http.Response, report func(WarmProgress)) (WarmResult, error) {
	var failed []WarmFailure
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxMessage)
	for lines.Scan() {
		var line warmLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return WarmResult{}, err
		}
		switch {
		case line.Error != nil:
			return WarmResult{PID: line.PID, Last: line.Last}, line.Error.fromWire()
		case line.Failed != nil && len(failed) < maxWarmFailures:
			line.Failed.Kind = kindOf(line.Kind)
			failed = append(failed, *line.Failed)
		case line.Result != nil:
			r := *line.Result
			r.Failed, r.PID, r.Last = failed, line.PID, line.Last
			if line.Silent != nil {
				r.Silent = line.Silent.fromWire()
			}
			return r, nil
		case report != nil && line.Progress != nil:
			report(*line.Progress)
		}
	}
	return WarmResult{}, errors.Join(errors.New("the answer ended early"), lines.Err())
}

// WarmOrStart is Warm, that starts a daemon while there is none; see MountOrStart.
func (c *Client) WarmOrStart(ctx context.Context, req WarmRequest, start func(context.Context) error, report func(WarmProgress)) (WarmResult, error) {
	result, started, err := orStart(ctx, func() (WarmResult, error) { return c.Warm(ctx, req, report) }, start)
	if started && ctx.Err() != nil {
		c.cancel(context.WithoutCancel(ctx), UnmountRequest{Cancel: rand.Text()}) // of no mount: see MountOrStart
	}
	return result, err
}
