package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/darkroom/darkroom/storage"
	"github.com/darkroom/darkroom/storage/s3test"
)

// trouble is what a proxy does to a request.
type trouble int

const (
	none       trouble = iota
	unavail            // 503 SlowDown
	conflict           // 409 ConditionalRequestConflict
	full               // 507
	reset              // the connection breaks before the server hears of it
	lostAnswer         // it breaks after the server has done it
	cutAnswer          // it breaks in the middle of the answer's body
	silence            // no answer until the client gives up
	heedless           // If-None-Match is ignored
	unsized            // the answer doesn't say how long it is
)

// proxy stands before a server and makes the trouble that ask wants.
type proxy struct {
	url string
	ask atomic.Pointer[func(r *http.Request) trouble]
}

func (p *proxy) make(ask func(r *http.Request) trouble) { p.ask.Store(&ask) }

// once makes trouble for the first request with a method.
func (p *proxy) once(method string, what trouble) {
	var done atomic.Bool
	p.make(func(r *http.Request) trouble {
		if r.Method == method && !done.Swap(true) {
			return what
		}
		return none
	})
}

func newProxy(t *testing.T, server *s3test.Server) *proxy {
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	p := &proxy{}
	p.make(func(*http.Request) trouble { return none })
	refuse := func(w http.ResponseWriter, status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the proxy</Message></Error>", code)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch (*p.ask.Load())(r) {
		case unavail:
			refuse(w, http.StatusServiceUnavailable, "SlowDown")
		case conflict:
			refuse(w, http.StatusConflict, "ConditionalRequestConflict")
		case full:
			refuse(w, http.StatusInsufficientStorage, "QuotaExceeded")
		case reset:
			breakOff(w)
		case lostAnswer:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			breakOff(w)
		case cutAnswer:
			answer := httptest.NewRecorder()
			forward.ServeHTTP(answer, r)
			for key, values := range answer.Header() {
				w.Header()[key] = values
			}
			_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
			_ = http.NewResponseController(w).Flush()
			breakOff(w)
		case silence:
			_, _ = io.Copy(io.Discard, r.Body) // else the client's end isn't noticed
			<-r.Context().Done()
		case unsized:
			answer := httptest.NewRecorder()
			forward.ServeHTTP(answer, r)
			w.WriteHeader(answer.Code)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(answer.Body.Bytes())
		case heedless:
			if r.Header.Get("If-None-Match") != "" {
				os.Remove(filepath.Join(filepath.Dir(server.Dir), filepath.FromSlash(r.URL.Path)))
			}
			forward.ServeHTTP(w, r)
		default:
			forward.ServeHTTP(w, r)
		}
	}
	front := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(front.Close)
	p.url = front.URL
	return p
}

// breakOff resets a connection.
func breakOff(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which breaks it off as well
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// startProxied starts a server behind a proxy, and opens a store there.
func startProxied(t *testing.T) (*proxy, storage.Place) {
	server := startS3(t)
	p := newProxy(t, server)
	useS3(t, server, p.url)
	return p, openURL(t, server.URL("a"))
}

// A call whose first try fails by the way is done by a later one, and is told
// what is true of it.
func TestS3TriesAgain(t *testing.T) {
	defer storage.SetStall(2 * time.Second)() // a silence is as long; a slow disk is not taken for one
	p, s := startProxied(t)
	data := bytes.Repeat([]byte("data"), 50_000)
	for i, what := range []trouble{unavail, conflict, reset, lostAnswer, silence} {
		name := fmt.Sprintf("b/%d", i)
		p.once("PUT", what)
		if err := s.PutIfAbsent(t.Context(), name, data); err != nil {
			t.Errorf("trouble %d: PutIfAbsent = %v", what, err)
		}
		for range 2 { // the same bytes, by another call
			if err := s.PutIfAbsent(t.Context(), name, data); !errors.Is(err, storage.ErrExists) {
				t.Errorf("trouble %d: PutIfAbsent of a name that is taken = %v", what, err)
			}
			p.once("PUT", what)
		}
		p.once("PUT", what)
		if err := s.Put(t.Context(), name, data); err != nil {
			t.Errorf("trouble %d: Put = %v", what, err)
		}
		p.once("GET", what)
		for _, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Errorf("trouble %d: List: %v", what, err)
			}
		}
		p.once("DELETE", what)
		if err := s.Delete(t.Context(), name); err != nil {
			t.Errorf("trouble %d: Delete = %v", what, err)
		}
	}
	if err := s.Put(t.Context(), "b", data); err != nil {
		t.Fatal(err)
	}
	for _, what := range []trouble{unavail, reset, cutAnswer, silence} {
		p.once("GET", what)
		if got, err := s.Get(t.Context(), "b"); err != nil || !bytes.Equal(got, data) {
			t.Errorf("trouble %d: Get = %d bytes, %v", what, len(got), err)
		}
	}
}

// Errors that pass are told from those that somebody has to mend, and from
// objects that aren't there.
func TestS3Hopeless(t *testing.T) {
	p, s := startProxied(t)
	for what, hopeless := range map[trouble]bool{unavail: false, conflict: false, reset: false, full: true} {
		p.make(func(*http.Request) trouble { return what })
		_, get := s.Get(t.Context(), "x")
		for call, err := range map[string]error{"Get": get, "Put": s.Put(t.Context(), "x", nil), "PutIfAbsent": s.PutIfAbsent(t.Context(), "x", nil)} {
			if err == nil || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrExists) || storage.Hopeless(err) != hopeless {
				t.Errorf("trouble %d: %s = %v, hopeless %v; want hopeless %v", what, call, err, storage.Hopeless(err), hopeless)
			}
		}
	}
}

func TestS3BucketGoes(t *testing.T) {
	server := startS3(t)
	s := openURL(t, server.URL(""))
	if err := os.RemoveAll(server.Dir); err != nil {
		t.Fatal(err)
	}
	_, get := s.Get(t.Context(), "x")
	for call, err := range map[string]error{"Get": get, "PutIfAbsent": s.PutIfAbsent(t.Context(), "x", nil)} {
		if err == nil || errors.Is(err, storage.ErrNotFound) || !storage.Hopeless(err) {
			t.Errorf("%s without a bucket = %v", call, err)
		}
	}
}

// Writers race for names while the network breaks in every way: a name has
// whole bytes of one writer, who alone may believe to have won.
func TestS3Storm(t *testing.T) {
	const writers, names = 6, 30
	p, s := startProxied(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	p.make(func(r *http.Request) trouble {
		mu.Lock()
		defer mu.Unlock()
		all := []trouble{unavail, reset, lostAnswer}
		if r.Method == "PUT" {
			all = append(all, conflict)
		}
		if random.IntN(3) > 0 {
			return none
		}
		return all[random.IntN(len(all))]
	})
	var won, told [names]atomic.Int32
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range names {
				name := fmt.Sprintf("name/%d", i)
				for {
					err := s.PutIfAbsent(t.Context(), name, fmt.Appendf(nil, "%d by %d", i, w))
					if err == nil {
						won[i].Add(1)
						break
					}
					if errors.Is(err, storage.ErrExists) {
						break
					}
					told[i].Add(1) // that it may be or not
				}
			}
		})
	}
	wg.Wait()
	p.make(func(*http.Request) trouble { return none })
	for i := range names {
		if n := won[i].Load(); n > 1 || n == 0 && told[i].Load() == 0 {
			t.Errorf("%d writers won name %d, with %d errors", n, i, told[i].Load())
		}
		data, err := s.Get(t.Context(), fmt.Sprintf("name/%d", i))
		if err != nil || !strings.HasPrefix(string(data), fmt.Sprintf("%d by ", i)) {
			t.Errorf("name %d: %q, %v", i, data, err)
		}
	}
}

// OpenURL says what is wrong with the surroundings, where it is, and what
// would be right; it never repeats a secret and leaves nothing behind.
func TestS3Refused(t *testing.T) {
	server := startS3(t)
	p := newProxy(t, server)
	p.make(func(*http.Request) trouble { return heedless })
	for name, c := range map[string]struct {
		endpoint, url, env string
		want               []string
	}{
		"heedless":    {p.url, server.URL("a"), "", []string{"ignores If-None-Match"}},
		"no bucket":   {server.Endpoint, "s3://missing/a", "", []string{"NoSuchBucket", `a bucket "missing"`}},
		"wrong key":   {server.Endpoint, server.URL("a"), "AWS_ACCESS_KEY_ID=nobody", []string{"No user exists", "do the credentials belong", "s3:ListBucket"}},
		"wrong word":  {server.Endpoint, server.URL("a"), "AWS_SECRET_ACCESS_KEY=a-wrong-secret", []string{"SignatureDoesNotMatch", "do the credentials belong"}},
		"no key":      {server.Endpoint, server.URL("a"), "AWS_ACCESS_KEY_ID=", []string{"AWS_ACCESS_KEY_ID"}},
		"unreachable": {"http://127.0.0.1:1", server.URL("a"), "", []string{"connection refused", "AWS_ENDPOINT_URL"}},
		"password":    {"http://user:a-secret-word@127.0.0.1:1", server.URL("a"), "", []string{"connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			useS3(t, server, c.endpoint)
			if key, value, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(key, value)
			}
			place, err := storage.OpenURL(t.Context(), c.url)
			if err == nil || place != nil {
				t.Fatal("it opens")
			}
			for _, want := range append(c.want, "opening "+c.url+" at ", strings.TrimPrefix(p.url, "http://")[:10]) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\n  doesn't say %s", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-word") || strings.Contains(err.Error(), "wrong-secret") || strings.Contains(err.Error(), s3test.SecretKey) {
				t.Errorf("it says a secret: %v", err)
			}
		})
	}
	left := []string{}
	err := filepath.WalkDir(server.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			left = append(left, path)
		}
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("left in the bucket: %v, %v", left, err)
	}
}

// A list goes over its pages in order, and over what is no name of ours.
func TestS3Pages(t *testing.T) {
	server := startS3(t)
	var names []string
	for i := range 2500 {
		names = append(names, fmt.Sprintf("b/%d", i))
	}
	for _, name := range append(names, "bb", ".darkroom/probe-of-another") {
		path := filepath.Join(server.Dir, "a", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, nil, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(server.Dir, "a-neighbour"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	s := openURL(t, server.URL("a/"))
	for prefix, want := range map[string][]string{"b/": names, "": append(slices.Clone(names), "bb")} {
		slices.Sort(want)
		var got []string
		for name, err := range s.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("List(%q) yields %d names, want %d", prefix, len(got), len(want))
		}
	}
}

// A cancelled call ends at once, whatever the server does.
func TestS3Cancelled(t *testing.T) {
	p, s := startProxied(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.make(func(*http.Request) trouble { cancel(); return silence })
	if err := s.Put(ctx, "x", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Put = %v", err)
	}
}

func TestS3Lock(t *testing.T) {
	server := startS3(t)
	first, second, other := openURL(t, server.URL("a")), openURL(t, server.URL("a/")), openURL(t, server.URL("b"))
	if err := errors.Join(first.Lock(), other.Lock()); err != nil {
		t.Fatal(err)
	}
	for _, place := range []storage.Place{first, second} {
		if err := place.Lock(); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "s3://pictures/a at http://") {
			t.Errorf("a second lock = %v", err)
		}
	}
	first.Close()
	if err := second.Lock(); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	for url, want := range map[string]string{
		"out/": "", "s3://bucket": "", "s3://bucket/": "", "s3://my-bucket.x/a/b c/": "",
		"":                        "empty",
		"gs://bucket/x":           `unknown scheme "gs"`,
		"file:///etc":             `unknown scheme "file"`,
		"s3://":                   "bucket name",
		"s3://a b c/x":            "bucket name",
		"s3://bucket/../x":        `the part ".."`,
		"s3://bucket/a//b":        "empty part",
		"s3://bucket/.darkroom/x": "the store's own",
		"s3://bucket/" + strings.Repeat("x", 200): "longer than 123",
	} {
		err := storage.CheckURL(url)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("CheckURL(%q) = %v; want %q", url, err, want)
		}
	}
	if err := storage.CheckURL("s3://key:secret@bucket/x"); err == nil || strings.Contains(err.Error(), "secret@") {
		t.Errorf("a URL with credentials = %v", err)
	}
}
