package s3store

import "sync"

// maxRegions bounds the buckets whose region is remembered; past it they are
// forgotten, and learnt again at the cost of one more request each.
const maxRegions = 1024

// regions remembers where buckets are that are not where we looked first.
type regions struct {
	first string // where buckets are unless they say otherwise

	mu sync.Mutex
	at map[string]string // guarded by mu: bucket to region
}

func (r *regions) of(bucket string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if region, ok := r.at[bucket]; ok {
		return region
	}
	return r.first
}

// learn takes the region that an answer names; true when it is not the one that
// was asked. S3 names it in each refusal, whether it may be read or not.
func (r *regions) learn(bucket, asked string, answer reply) bool {
	region := answer.header.Get("X-Amz-Bucket-Region")
	if region == "" || region == asked {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil || len(r.at) >= maxRegions {
		r.at = map[string]string{}
	}
	r.at[bucket] = region
	return true
}
