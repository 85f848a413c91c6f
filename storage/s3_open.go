package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

const (
	// attempts is how often a request is sent before its caller is told. Who
	// calls goes on for as long as it likes.
	attempts = 4
	// dialTime is how long a connection may take to come about.
	dialTime = 5 * time.Second
	// connections is how many are kept open for the next request.
	connections = 128
)

// stall is how long a connection of a store that is opened now may go without a
// byte either way. A variable for the tests.
var stall = 20 * time.Second

// OpenS3 opens the store below a prefix (empty: none) of a bucket. Server,
// region and credentials come from where all of AWS's tools look: the
// environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...), the files
// in ~/.aws, the machine's own role. It makes sure that the server heeds
// If-None-Match and that every call which darkroom needs is allowed, by means of
// one small object that it deletes again.
func OpenS3(ctx context.Context, bucket, prefix string) (*S3, error) {
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithLogger(logging.Nop{}),
		config.WithDefaultRegion("us-east-1"), // servers of one's own rarely have a region
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		config.WithRetryer(newRetryer),
	)
	if err != nil {
		return nil, fmt.Errorf("opening s3://%s: %w", bucket, err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: transport(cfg), CheckRedirect: noRedirect}
		o.UsePathStyle = o.BaseEndpoint != nil // few servers beside AWS's have a host name for each bucket
	})
	s := newS3(client, bucket, prefix)
	if cfg.Credentials == nil {
		err = errors.New("no credentials")
	} else {
		_, err = cfg.Credentials.Retrieve(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %v: %w\nset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and what it names in ~/.aws", s, err)
	}
	if err := s.probe(ctx); err != nil {
		return nil, fmt.Errorf("opening %v: %w", s, err)
	}
	return s, nil
}

// probe makes each kind of call once, on an object of its own.
func (s *S3) probe(ctx context.Context) (err error) {
	const say = "probe\n"
	name := private + "/probe-" + rand.Text()
	_, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: s.key(name), MaxKeys: aws.Int32(1)})
	if err != nil {
		return s.refused("s3:ListBucket", err)
	}
	put := func() error {
		_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: s.key(name), Body: bytes.NewReader([]byte(say)), IfNoneMatch: aws.String("*"),
		})
		return err
	}
	if err := put(); err != nil {
		return s.refused("s3:PutObject", err)
	}
	defer func() {
		_, lost := s.client.DeleteObject(context.WithoutCancel(ctx), &s3.DeleteObjectInput{Bucket: &s.bucket, Key: s.key(name)})
		if lost != nil && err == nil {
			err = s.refused("s3:DeleteObject", lost)
		}
	}()
	switch err := put(); {
	case err == nil:
		return errors.New("the server, or a proxy before it, ignores If-None-Match on PutObject, so that one consumer could overwrite another's picture; it takes a server with conditional writes, such as AWS S3, Cloudflare R2 or versitygw")
	case statusOf(err) != http.StatusPreconditionFailed:
		return s.refused("s3:PutObject", err)
	}
	data, _, err := s.get(ctx, name)
	if err == nil && string(data) != say {
		err = fmt.Errorf("the server gives back %d bytes of %d", len(data), len(say))
	}
	if err != nil {
		return s.refused("s3:GetObject", err)
	}
	return nil
}

// refused says what is wrong where the first calls fail, and what to do.
func (s *S3) refused(right string, err error) error {
	told := plain(err)
	advice := ""
	switch status := statusOf(err); {
	case errors.Is(err, context.Canceled):
	case status == 0:
		advice = "is the server up, and AWS_ENDPOINT_URL its address? http:// or https:// must be right, too"
	case status == http.StatusNotFound && !isNoUser(err):
		advice = fmt.Sprintf("is there a bucket %q? darkroom creates none", s.bucket)
	case status == http.StatusMovedPermanently:
		advice = "the bucket is in another region: set AWS_REGION to it"
	case status == http.StatusForbidden || status == http.StatusUnauthorized || isNoUser(err):
		advice = fmt.Sprintf("do the credentials belong to this server, and may they %s? darkroom needs s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject", right)
	}
	if advice == "" {
		return told
	}
	return fmt.Errorf("%w\n%s", told, advice)
}

// newRetryer is the client's own retryer with what conditional puts need, and
// pauses that fit a caller who tries again himself.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		// Without a quota that all requests share: under a storm of errors it
		// would be used up, and each error left to callers, who wait longer.
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return backoff(attempt), nil })
		// 409: another conditional put of the name was under way.
		o.Retryables = append(o.Retryables, retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{
			http.StatusConflict: {}, http.StatusTooManyRequests: {},
		}})
	})
}

// backoff is a random time up to .2 s after the first attempt, .4 s after the
// second and so on, to 2 s: those who failed together don't come back together.
func backoff(attempt int) time.Duration {
	return mathrand.N(min(100*time.Millisecond<<attempt, 2*time.Second))
}

// transport is the client's own, which knows the user's certificates and
// proxies, with connections that fail when they stall.
func transport(cfg aws.Config) *http.Transport {
	client, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		client = awshttp.NewBuildableClient()
	}
	t := client.GetTransport()
	patience := stall
	dialer := &net.Dialer{Timeout: dialTime}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &steadyConn{conn, patience}, nil
	}
	t.ForceAttemptHTTP2 = false // its one connection would stall for all
	t.TLSHandshakeTimeout = dialTime
	t.MaxIdleConns, t.MaxIdleConnsPerHost = connections, connections
	return t
}

// steadyConn fails once nothing has come or gone for a while, however long a
// request takes as a whole.
type steadyConn struct {
	net.Conn
	patience time.Duration
}

func (c *steadyConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write also puts off the end of the read that waits for the answer.
func (c *steadyConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// noRedirect hands a redirection to the client, which knows what it means: the
// signature is for one host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// redacted is a server's address without a password that someone put there.
func redacted(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "the AWS_ENDPOINT_URL that is set"
	}
	return u.Redacted()
}
