package batch

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/darkroom/darkroom/producer/batch/redistest"
	"github.com/darkroom/darkroom/storage"
)

func TestParseURL(t *testing.T) {
	for rawURL, where := range map[string]string{
		"redis://localhost":                     "localhost:6379",
		"redis://u:s3cret@host:7000/2":          "host:7000",
		"rediss://:s3cret@host":                 "host:6379",
		"unix:///run/redis.sock?db=3":           "/run/redis.sock",
		"unix://u:s3cret@/run/redis.sock":       "/run/redis.sock",
		"redis://a:1,b:2,[::1]:3":               "a:1,b:2,[::1]:3",
		"redis://u:s3cret,s3cret@a:1,b:2":       "a:1,b:2",
		"redis+cluster://:s3cret@a:1/0":         "a:1",
		"rediss+cluster://a:1?dial_timeout=3s":  "a:1",
		"redis://[::1]:7000?max_retries=2&db=1": "[::1]:7000",
	} {
		s, err := parseURL(rawURL)
		if err != nil || s.where() != where {
			t.Errorf("%s is %q, %v; want %s", rawURL, s.where(), err, where)
		}
		if cluster := strings.Contains(where, ",") || strings.Contains(rawURL, "+cluster"); (s.nodes != nil) != cluster {
			t.Errorf("%s: nodes %v", rawURL, s.nodes)
		}
		if s.options.Password != "" && !strings.HasPrefix(s.options.Password, "s3cret") {
			t.Errorf("%s: password %q", rawURL, s.options.Password)
		}
	}
	dir := t.TempDir()
	empty := filepath.Join(dir, "s3cret.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o666); err != nil {
		t.Fatal(err)
	}
	for rawURL, want := range map[string]string{
		"localhost:6379":                  "no scheme that is known",
		"http://host":                     "no scheme that is known",
		"redis://s3cret@host":             "write :password@",
		"redis://u:s3/cret@host":          "can't be read",
		"redis://u:6379/s3cret@host":      "the database or an option is wrong",
		"redis://u:s3%cret@host":          "can't be read",
		"redis://host/1/2":                "the database or an option is wrong",
		"redis://host?passwrod=s3cret":    "unexpected option: passwrod",
		"redis://a:1,b:2/1":               "a cluster has no database but 0",
		"redis://a:1,b":                   "a cluster's hosts have a port each",
		"redis://host?ca=x":               "ca, cert and key are for rediss://",
		"rediss://host?ca=" + dir + "/no": "no such file",
		"rediss://host?ca=" + empty:       "holds no certificate in PEM format",
		"rediss://host?cert=x":            "cert and key go together",
	} {
		_, err := parseURL(rawURL)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", rawURL, err, want)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), empty, ""), "cret") {
			t.Errorf("%s: the error tells the password: %v", rawURL, err)
		}
	}
}

// A server with TLS, an authority of its own, and a user who may do no more
// than a queue needs.
func TestTLS(t *testing.T) {
	s := redistest.StartTLS(t, "darkroom", "s3cret")
	ctx, store := t.Context(), &storage.Memory{}
	at := "rediss://darkroom:s3cret@" + s.Addr
	q, err := OpenQueue(ctx, at+"?ca="+s.CA+"&cert="+s.Cert+"&key="+s.Key, "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if q.Where() != s.Addr {
		t.Errorf("it is called %s", q.Where())
	}
	b := newBatch(t, store, 30, 4)
	if err := b.Save(ctx, store); err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := q.Feed(ctx, store, b, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Tend(ctx, store); err != nil {
		t.Fatal(err)
	}
	if p, err := q.Progress(ctx, store, b); err != nil || p.Queued != 30 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := q.Clear(ctx); err != nil {
		t.Error(err)
	}
	for rawURL, want := range map[string]string{
		at + "?ca=" + s.CA:                       "certificate required", // of ours
		at + "?cert=" + s.Cert + "&key=" + s.Key: "certificate signed by unknown authority",
		"rediss://darkroom:wr0ng@" + s.Addr + "?ca=" + s.CA + "&cert=" + s.Cert + "&key=" + s.Key:               "WRONGPASS",
		"rediss://" + s.Addr + "?ca=" + s.CA + "&cert=" + s.Cert + "&key=" + s.Key:                              "NOAUTH",
		"rediss://darkroom:s3cret@localhost" + s.Addr[9:] + "?ca=" + s.CA + "&cert=" + s.Cert + "&key=" + s.Key: "certificate is not valid for any names",
	} {
		other, err := OpenQueue(ctx, rawURL, "q")
		if err == nil {
			other.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A cluster of three real nodes: a queue's keys lie on one of them, those of
// several queues on several, and all that a queue does works there.
func TestCluster(t *testing.T) {
	addrs := redistest.StartCluster(t, 3)
	ctx, store := t.Context(), &storage.Memory{}
	q, err := OpenQueue(ctx, "redis://"+strings.Join(addrs[:2], ","), "q")
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	b := newBatch(t, store, 30, 4)
	used := map[string]bool{}
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		at, err := q.At(name)
		if err != nil {
			t.Fatal(err)
		}
		node, err := at.node(ctx)
		if err != nil {
			t.Fatal(err)
		}
		used[node.(*redis.Client).Options().Addr] = true
		b.Queue = name
		if err := at.Enqueue(ctx, b); err != nil {
			t.Fatal(err)
		}
		if err := at.Feed(ctx, store, b, 0); err != nil {
			t.Fatal(err)
		}
		if err := at.Mark(ctx, b, Record{Index: 3, Status: Failed, Class: "render"}); err != nil {
			t.Fatal(err)
		}
		depth, err := at.Depth(ctx)
		if err != nil || depth["pending"] < 26 {
			t.Errorf("%s: depth %v, %v", name, depth, err)
		}
		p, err := at.Progress(ctx, store, b)
		if err != nil || p.Failed != 1 || p.FailedByClass["render"] != 1 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if skew, err := at.Skew(ctx); err != nil || skew.Abs() > 10*time.Second {
			t.Errorf("%s: skew %v, %v", name, skew, err)
		}
		if led, err := at.Lead(ctx, time.Minute, func(context.Context) error { return nil }); !led || err != nil {
			t.Errorf("%s: %v, %v", name, led, err)
		}
		if _, err := at.Sweep(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := at.Clear(ctx); err != nil {
			t.Fatal(err)
		}
		if left, err := node.Keys(ctx, "*{"+name+"}*").Result(); err != nil || len(left) != 0 {
			t.Errorf("%s: %v, %v are left", name, left, err)
		}
	}
	if len(used) < 2 {
		t.Errorf("six queues are all on %v", slices.Collect(maps.Keys(used)))
	}
}
