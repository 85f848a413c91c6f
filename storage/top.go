package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Top returns the first parts of the names that have more than one, in byte
// order: of "a/b", "a/c" and "d" that is "a". Stores that can tell without a
// look at every name do so; they have a method Top(ctx) for it.
func Top(ctx context.Context, store Store) ([]string, error) {
	if s, ok := store.(interface {
		Top(ctx context.Context) ([]string, error)
	}); ok {
		return s.Top(ctx)
	}
	var top []string
	for name, err := range store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if first, _, more := strings.Cut(name, "/"); more && !slices.Contains(top, first) {
			top = append(top, first)
		}
	}
	slices.Sort(top)
	return top, nil
}

// Top is what the function of this name says.
func (f *Folder) Top(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := f.readDir(".")
	if err != nil && !isAbsent(err) {
		return nil, fmt.Errorf("listing %s: %w", f.dir, bare(err))
	}
	var top []string
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != private {
			top = append(top, entry.Name())
		}
	}
	slices.Sort(top)
	return top, nil
}

// Top is what the function of this name says.
func (s *S3) Top(ctx context.Context) ([]string, error) {
	var top []string
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: aws.String(s.prefix), Delimiter: aws.String("/"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.fault("listing", "", err)
		}
		for _, folder := range page.CommonPrefixes {
			name := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(folder.Prefix), s.prefix), "/")
			if CheckName(name) == nil {
				top = append(top, name)
			}
		}
	}
	slices.Sort(top)
	return top, nil
}
