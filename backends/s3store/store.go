package s3store

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/logging"

	"github.com/pinfs/pinfs/backends"
)

const defaultRegion = "us-east-1"

// learnTries is how often one request is sent at most: once, and again after
// each thing that an answer can teach (region, credentials, clock).
const learnTries = 4

// Store is the driver. All methods may be called from many goroutines at once.
type Store struct {
	client  *s3.Client
	http    *http.Client
	hosts   hosts
	wires   *wires
	keys    *keyring
	regions regions
	found   backends.Found[string]
	// Of getObject.
	templates templates
	signer    *v4.Signer
	texts     textSigner
	skewed    atomic.Bool
	retry     backends.RetryPolicy
	payer     types.RequestPayer
}

var _ backends.Backend = (*Store)(nil)

func newStore(o Options, k *keyring) *Store {
	s := &Store{keys: k, http: k.http, wires: k.wires, retry: pagePolicy(o.Retry), signer: newSigner()}
	if o.RequesterPays {
		s.payer = types.RequestPayerRequester
	}
	s.client = s3.NewFromConfig(k.config, func(so *s3.Options) { s.configure(so, o) })
	return s
}

func pagePolicy(p backends.RetryPolicy) backends.RetryPolicy {
	if p.StallTimeout == 0 {
		p.StallTimeout = headerTimeout
	}
	if p.MaxElapsed == 0 {
		p.MaxElapsed = maxPageTime
	}
	return p
}

func (s *Store) configure(so *s3.Options, o Options) {
	so.Logger = logging.Nop{}
	so.Retryer = aws.NopRetryer{}
	so.RetryMaxAttempts = 1
	so.Credentials = s.keys
	if o.Anonymous {
		so.Credentials = aws.AnonymousCredentials{}
	}
	so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	so.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	so.DisableLogOutputChecksumValidationSkipped = true
	if o.Region != "" {
		so.Region = o.Region
	}
	if so.Region == "" {
		so.Region = defaultRegion
	}
	s.regions.first = so.Region
	so.BaseEndpoint = endpoint(o, so.BaseEndpoint)
	s.hosts = newHosts(s.http, o, so.BaseEndpoint)
	so.HTTPClient = s.hosts
	so.UsePathStyle = pathStyle(o, so.BaseEndpoint)
}

// endpoint gives the base URL; configured is what the SDK found by itself.
func endpoint(o Options, configured *string) *string {
	if o.Endpoint != "" {
		return &o.Endpoint
	}
	if configured != nil && *configured != "" {
		return configured
	}
	if e := os.Getenv("AWS_S3_ENDPOINT_URL"); e != "" {
		return &e
	}
	return nil
}

// Close frees connections.
func (s *Store) Close() error {
	s.wires.close()
	s.http.CloseIdleConnections()
	return nil
}

// operation is a method of the SDK's client.
type operation[I, O any] func(context.Context, *I, ...func(*s3.Options)) (*O, error)

// send sends one request. It is sent again, to another region or with other
// credentials, when the answer says that those were wrong.
func send[I, O any](ctx context.Context, s *Store, bucket string, op operation[I, O], in *I, more ...func(*s3.Options)) (*O, error) {
	for try := 1; ; try++ {
		region, age := s.regions.of(bucket), s.keys.generation()
		options := more
		if region != s.regions.first {
			options = append([]func(*s3.Options){func(o *s3.Options) { o.Region = region }}, more...)
		}
		out, err := op(ctx, in, options...)
		if err == nil || try == learnTries || ctx.Err() != nil || !s.learn(ctx, err, bucket, region, age, try) {
			return out, err
		}
	}
}

// learn tells whether err taught something that makes another try worth while.
func (s *Store) learn(ctx context.Context, err error, bucket, region string, age uint64, try int) bool {
	r, ok := replyOf(err)
	switch {
	case !ok:
		return false
	case s.regions.learn(bucket, region, r):
		return true
	case r.expired():
		return s.keys.renew(ctx, age)
	case r.code == "RequestTimeTooSkewed":
		return try == 1 // the SDK has corrected its clock by the answer's Date
	}
	return false
}
