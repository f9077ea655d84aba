package cache

// fetchers are goroutines that fetch, one part after the other: an HTTP client needs
// more stack than a new goroutine has, and growing it costs as much as signing a
// request. As many as were needed at once stay, up to maxIdleFetchers.
type fetchers struct {
	jobs chan fetchJob // to those that rest
	idle chan struct{} // one token for each that rests
}

type fetchJob struct {
	o   *object
	p   *part
	buf []byte
}

// maxIdleFetchers bounds those that rest, of some 32 KiB of stack each.
const maxIdleFetchers = 64

func newFetchers() *fetchers {
	return &fetchers{jobs: make(chan fetchJob), idle: make(chan struct{}, maxIdleFetchers)}
}

// fetchSoon runs j in a fetcher that rests, or in a new one.
func (c *Cache) fetchSoon(j fetchJob) {
	select {
	case c.fetchers.jobs <- j:
	default:
		c.wg.Go(func() { c.fetcher(j) })
	}
}

// fetcher fetches until it has nothing to do and enough others rest, or the cache
// closes.
func (c *Cache) fetcher(j fetchJob) {
	for {
		c.fetch(j.o, j.p, j.buf)
		j = fetchJob{}
		select {
		case c.fetchers.idle <- struct{}{}:
		default:
			return
		}
		select {
		case j = <-c.fetchers.jobs:
			<-c.fetchers.idle
		case <-c.ctx.Done():
			return
		}
	}
}
