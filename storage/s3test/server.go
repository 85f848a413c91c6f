// Package s3test starts real S3 servers for tests.
package s3test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/darkroom/darkroom/storage/porttest"
)

// The credentials of every server's one account.
const (
	AccessKey = "darkroom-test"
	SecretKey = "a-secret-of-the-tests"
)

// Server is a versitygw of the test's own, with one bucket, whose objects are
// files.
type Server struct {
	Endpoint string // http://127.0.0.1:port
	Bucket   string
	Dir      string // the bucket's

	program string
	address string
	cmd     *exec.Cmd
	gone    chan struct{} // closed when the process has ended
}

// Start starts a server, which ends with the test. Without versitygw, in the
// checkout's .tools (make tools) or the PATH, the test is left out, or fails
// where DARKROOM_TEST_ALL is 1.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := find("versitygw")
	if err != nil {
		if os.Getenv("DARKROOM_TEST_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s := &Server{Bucket: "pictures", program: program}
	s.Dir = filepath.Join(t.TempDir(), s.Bucket)
	if err := os.Mkdir(s.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	s.address = "127.0.0.1:" + porttest.Take(t)
	s.Endpoint = "http://" + s.address
	t.Cleanup(s.Kill)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Start starts the server again after Kill, at the same address.
func (s *Server) Start() error {
	s.cmd = exec.Command(s.program, "--port", s.address, "--quiet", "--keep-alive", "posix", filepath.Dir(s.Dir))
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	s.gone = gone
	go func() {
		defer close(gone)
		_ = s.cmd.Wait() // killed, as a rule
	}()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for {
		select {
		case <-gone:
			return fmt.Errorf("versitygw at %s ended: %v", s.address, s.cmd.ProcessState)
		case <-late:
			s.Kill()
			return fmt.Errorf("versitygw at %s doesn't answer", s.address)
		case <-tick.C:
		}
		if answer, err := http.Get(s.Endpoint); err == nil {
			answer.Body.Close()
			return nil
		}
	}
}

// Kill ends the server as a crash would.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // it may be gone already
		<-s.gone
	}
}

// URL is the store's URL below a prefix.
func (s *Server) URL(prefix string) string { return "s3://" + s.Bucket + "/" + prefix }

// Environ is what a process needs to find the server, as NAME=value.
func (s *Server) Environ() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Endpoint, "AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey,
		"AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_PROFILE=", "AWS_SESSION_TOKEN=", "AWS_ENDPOINT_URL_S3=",
	}
}

// find looks for a program in the .tools of the checkout that a test runs in,
// then in the PATH.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if path := filepath.Join(dir, ".tools", name); isProgram(path) {
				return path, nil
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s on this machine: make tools brings it", name)
	}
	return path, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
