package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// BenchmarkS3 compares each call with the bare client's, one after the other in
// the same run: of-bare is the bare call's time over ours.
func BenchmarkS3(b *testing.B) {
	server := startS3(b)
	store := openURL(b, server.URL("ours"))
	cfg, err := config.LoadDefaultConfig(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	bare := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, picture := aws.String(server.Bucket), bytes.Repeat([]byte("picture "), 64<<10/8)
	put := func(ctx context.Context, name string, condition *string) error {
		_, err := bare.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &name, Body: bytes.NewReader(picture), IfNoneMatch: condition})
		return err
	}
	for i := range 1000 {
		for _, err := range []error{store.Put(b.Context(), fmt.Sprint("list/", i), nil), put(b.Context(), fmt.Sprint("list/", i), nil)} {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := store.Put(b.Context(), "picture", picture); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		ours, bare func(ctx context.Context, i int) error
	}{
		{"Put",
			func(ctx context.Context, i int) error { return store.Put(ctx, fmt.Sprint("put/", i%100), picture) },
			func(ctx context.Context, i int) error { return put(ctx, fmt.Sprint("bare/put/", i%100), nil) }},
		{"PutIfAbsent",
			func(ctx context.Context, i int) error { return store.PutIfAbsent(ctx, fmt.Sprint("new/", i), picture) },
			func(ctx context.Context, i int) error { return put(ctx, fmt.Sprint("bare/new/", i), aws.String("*")) }},
		{"Get",
			func(ctx context.Context, _ int) error { _, err := store.Get(ctx, "picture"); return err },
			func(ctx context.Context, _ int) error {
				out, err := bare.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("ours/picture")})
				if err == nil {
					_, err = io.Copy(io.Discard, out.Body)
					out.Body.Close()
				}
				return err
			}},
		{"List of 1000",
			func(ctx context.Context, _ int) (err error) {
				for _, e := range store.List(ctx, "list/") {
					err = e
				}
				return err
			},
			func(ctx context.Context, _ int) error {
				_, err := bare.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("list/")})
				return err
			}},
	} {
		b.Run(c.name, func(b *testing.B) {
			run := time.Now().UnixNano() // names of this round are new
			var took [2]time.Duration
			for i := 0; b.Loop(); i++ {
				for j, call := range []func(context.Context, int) error{c.ours, c.bare} {
					began := time.Now()
					if err := call(b.Context(), int(run)+i); err != nil {
						b.Fatal(err)
					}
					took[j] += time.Since(began)
				}
			}
			b.ReportMetric(took[0].Seconds()*1000/float64(b.N), "ms/call")
			b.ReportMetric(float64(took[1])/float64(took[0]), "of-bare")
		})
	}
}
