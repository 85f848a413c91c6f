package check

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// scaledBy are the keys of the queue "default" by which consumers are scaled.
var scaledBy = []string{"asynq:{default}:pending", "asynq:{default}:active"}

// TestTopology runs the services of docker-compose.yml as plain processes, with
// the same commands, environments and health checks, and "--scale work=2": a
// batch of the examples ends in the bucket, and a stop ends in time.
func TestTopology(t *testing.T) {
	town := newTown(t, compose(t, secrets, "docker-compose.yml"))
	town.up("redis", "bucket", "s3")

	// What KEDA scales by is where asynq keeps its tasks.
	town.once("darkroom", "enqueue", "first.jsonl")
	if kind := town.redisType(scaledBy[0]); kind != "list" {
		t.Errorf("with a task that waits %s is of the type %s, want a list", scaledBy[0], kind)
	}
	town.up("work", "work")
	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		town.once("darkroom", town.project.Services["darkroom"].Command...)
	}()
	seen := false
	for waiting := true; waiting; {
		seen = seen || town.redisType(scaledBy[1]) == "list"
		select {
		case <-enqueued:
			waiting = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	if !seen {
		t.Errorf("%s was never a list", scaledBy[1])
	}

	batch := filepath.Join(town.volumes["pictures"], "pictures/darkroom/first")
	want := pictures(t, filepath.Join(checkout(), "examples/first.jsonl"))
	for _, ext := range []string{".png", ".json"} {
		found, err := filepath.Glob(filepath.Join(batch, "0*"+ext))
		if err != nil || len(found) != want {
			t.Errorf("%d %s objects in the bucket, want %d (%v)", len(found), ext, want, err)
		}
	}
	checkMonitoring(t, town.metrics("work"))
	town.stop("work")
}

// pictures counts those that a batch file asks for.
func pictures(t *testing.T, file string) (n int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		job := struct{ N int }{1}
		if err := json.Unmarshal(line, &job); err != nil {
			t.Fatal(err)
		}
		n += job.N
	}
	return n
}

// town is a project's services as processes on this machine.
type town struct {
	t       *testing.T
	project *types.Project
	volumes map[string]string // folders, by the volume's name
	ports   map[string]string // on the loopback interface, by the service's own, such as "redis:6379"
	running map[string][]*process
}

type process struct {
	cmd  *exec.Cmd
	http string // where --http is
	gone chan struct{}
}

func newTown(t *testing.T, project *types.Project) *town {
	w := &town{t: t, project: project, volumes: map[string]string{}, ports: map[string]string{}, running: map[string][]*process{}}
	for name := range project.Volumes {
		w.volumes[name] = t.TempDir()
	}
	for _, at := range []string{"redis:6379", "s3:7070"} {
		w.ports[at] = freePort(t)
	}
	t.Cleanup(func() {
		for _, all := range w.running {
			for _, p := range all {
				_ = p.cmd.Process.Kill() // it may be gone already
				<-p.gone
			}
		}
	})
	return w
}

// programs are the images' programs here.
func (w *town) program(s types.ServiceConfig) (path string, args []string) {
	image, _, _ := strings.Cut(s.Image, ":")
	switch {
	case len(s.Entrypoint) > 0:
		return s.Entrypoint[0], append(slices.Clone(s.Entrypoint[1:]), s.Command...)
	case image == "redis":
		return real(w.t, s.Command[0]), append(slices.Clone(s.Command[1:]), "--bind", "127.0.0.1", "--port", w.ports["redis:6379"], "--dir", w.volumes["redis"])
	case image == "ghcr.io/versity/versitygw": // its image makes a command line of these
		return real(w.t, "versitygw"), []string{*s.Environment["VGW_BACKEND"], *s.Environment["VGW_BACKEND_ARG"]}
	case image == "darkroom":
		path, err := darkroom()
		if err != nil {
			w.t.Fatal(err)
		}
		return path, slices.Clone(s.Command)
	}
	w.t.Fatalf("what is in the image %s?", s.Image)
	return "", nil
}

// command is a service's process, with its own ports and folders.
func (w *town) command(ctx context.Context, name string, s types.ServiceConfig) *process {
	path, args := w.program(s)
	p := &process{gone: make(chan struct{})}
	here := func(value string) string {
		for _, v := range s.Volumes {
			folder := v.Source
			if v.Type == types.VolumeTypeVolume {
				folder = w.volumes[v.Source]
			}
			if value == v.Target || strings.HasPrefix(value, v.Target+"/") {
				value = folder + strings.TrimPrefix(value, v.Target)
			}
		}
		for at, port := range w.ports {
			value = strings.ReplaceAll(value, at, "127.0.0.1:"+port)
		}
		return value
	}
	for i, arg := range args {
		if args[i] = here(arg); i > 0 && args[i-1] == "--http" {
			p.http = "127.0.0.1:" + freePort(w.t)
			args[i] = p.http
		}
	}
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Dir, p.cmd.Stderr = here(s.WorkingDir), prefixed{w.t.Output(), name}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "XDG_DATA_HOME=" + os.Getenv("XDG_DATA_HOME"),
		"DARKROOM_CACHE=" + w.volumes["cache"], "DARKROOM_ONNXRUNTIME=" + os.Getenv("DARKROOM_ONNXRUNTIME")}
	for k, v := range s.Environment {
		value := here(*v)
		if k == "VGW_PORT" {
			value = "127.0.0.1:" + w.ports["s3:7070"]
		}
		p.cmd.Env = append(p.cmd.Env, k+"="+value)
	}
	return p
}

// up starts services, and waits until each is healthy, or done where it has no
// health check. A service that is named twice has two processes.
func (w *town) up(names ...string) {
	w.t.Helper()
	for _, name := range names {
		s := w.project.Services[name]
		p := w.command(context.Background(), name, s)
		if err := p.cmd.Start(); err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		w.running[name] = append(w.running[name], p)
		go func() {
			defer close(p.gone)
			_ = p.cmd.Wait() // how it ended is asked for below
		}()
		if s.HealthCheck == nil {
			if <-p.gone; !p.cmd.ProcessState.Success() {
				w.t.Fatalf("%s: %v", name, p.cmd.ProcessState)
			}
			continue
		}
		late := time.After(time.Minute)
		for tick := time.Tick(20 * time.Millisecond); !w.healthy(s, p); {
			select {
			case <-tick:
			case <-p.gone:
				w.t.Fatalf("%s: %v", name, p.cmd.ProcessState)
			case <-late:
				w.t.Fatalf("%s isn't healthy after a minute", name)
			}
		}
	}
}

// healthy carries a service's health check out.
func (w *town) healthy(s types.ServiceConfig, p *process) bool {
	test := s.HealthCheck.Test
	switch {
	case test[0] == "CMD-SHELL":
		script := strings.ReplaceAll(test[1], "redis-cli", "redis-cli -p "+w.ports["redis:6379"])
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = p.cmd.Env
		return cmd.Run() == nil
	case test[0] == "CMD" && test[1] == "wget":
		url := test[len(test)-1]
		if p.http != "" {
			url = strings.ReplaceAll(url, "127.0.0.1:8080", p.http)
		}
		url = strings.ReplaceAll(url, "127.0.0.1:7070", "127.0.0.1:"+w.ports["s3:7070"])
		answer, err := http.Get(url)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	w.t.Fatalf("health check %v", test)
	return false
}

// once runs a service with a command of its own to its end.
func (w *town) once(name string, command ...string) {
	s := w.project.Services[name]
	s.Command = command
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := w.command(ctx, name, s).cmd.Run(); err != nil {
		w.t.Errorf("%s %v: %v", name, command, err)
	}
}

// stop stops a service's processes as "docker compose stop" does.
func (w *town) stop(name string) {
	w.t.Helper()
	late := time.After(time.Duration(*w.project.Services[name].StopGracePeriod))
	for _, p := range w.running[name] {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range w.running[name] {
		select {
		case <-p.gone:
			if !p.cmd.ProcessState.Success() {
				w.t.Errorf("%s: %v", name, p.cmd.ProcessState)
			}
		case <-late:
			w.t.Fatalf("%s doesn't end within its stop_grace_period", name)
		}
	}
}

// metrics are what a service's first process tells Prometheus: the names.
func (w *town) metrics(name string) map[string]bool {
	w.t.Helper()
	answer, err := http.Get("http://" + w.running[name][0].http + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	names := map[string]bool{}
	sample := regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if found := sample.FindString(lines.Text()); found != "" {
			names[found] = true
		}
	}
	return names
}

// redisType is the type of a key, "none" where there is none.
func (w *town) redisType(key string) string {
	cmd := exec.Command("redis-cli", "-p", w.ports["redis:6379"], "TYPE", key)
	cmd.Env = w.running["redis"][0].cmd.Env
	out, err := cmd.Output()
	if err != nil {
		w.t.Errorf("asking Redis for %s: %v", key, err)
	}
	return strings.TrimSpace(string(out))
}

// real finds a program on this machine; versitygw where make tools puts it.
func real(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if tool := filepath.Join(checkout(), ".tools", name); err != nil {
		path, err = exec.LookPath(tool)
	}
	if err != nil {
		if os.Getenv("DARKROOM_TEST_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// prefixed tells whose lines these are.
type prefixed struct {
	to   interface{ Write([]byte) (int, error) }
	name string
}

func (p prefixed) Write(data []byte) (int, error) {
	_, err := fmt.Fprintf(p.to, "%s: %s", p.name, data)
	return len(data), err
}
