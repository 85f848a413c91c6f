//go:build unix

package faults

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/darkroom/darkroom/storage/s3test"
)

// gateway stands before a bucket's server and does to requests what a test wants.
type gateway struct {
	url    string
	choose atomic.Pointer[func(r *http.Request) action]
}

// action answers a request; forward is the server's own answer.
type action func(w http.ResponseWriter, r *http.Request, forward http.Handler)

// on sets what is done to requests; an action of nil lets one pass.
func (g *gateway) on(choose func(r *http.Request) action) { g.choose.Store(&choose) }

// calm lets all requests pass.
func (g *gateway) calm() { g.on(func(*http.Request) action { return nil }) }

func newGateway(t *testing.T, server *s3test.Server) *gateway {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) { reset(w, r, nil) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	g := &gateway{}
	g.calm()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if act := (*g.choose.Load())(r); act != nil {
			act(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g.url = front.URL
	return g
}

// refuse answers with an error of the server's.
func refuse(status int, code string) action {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said the gateway</Message></Error>", code)
	}
}

// reset breaks the connection.
func reset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // which breaks it off as well
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// lost has the server do it, then does something, and breaks the connection.
func lost(then func()) action {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		then()
		reset(w, r, nil)
	}
}

// isPut tells a put of an object whose name ends so.
func isPut(r *http.Request, ending string) bool {
	return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ending)
}

// isRecord tells a put of a line's record, which begins with its index.
func isRecord(r *http.Request) bool { return isPut(r, ".json") && strings.Contains(r.URL.Path, "/0") }
