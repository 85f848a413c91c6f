package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/darkroom/darkroom/pipeline/ort/orttest"
	"github.com/darkroom/darkroom/producer/batch/redistest"
)

// TestMetrics scrapes a consumer after a batch, and holds its numbers against
// what was rendered.
func TestMetrics(t *testing.T) {
	orttest.Open(t)
	url, redis := redistest.Start(t)
	dir := t.TempDir()
	broken := filepath.Join(dir, "library", "broken")
	if err := os.CopyFS(broken, os.DirFS("pipeline/testdata/sd")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		filepath.Join(broken, "vae_decoder", "model.onnx"): "no graph",
		filepath.Join(dir, "night.jsonl"): `{"prompt": "a secret prompt", "steps": 3, "n": 4}
{"model": "broken", "prompt": "a secret prompt", "steps": 2}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	flags := []string{"--redis", url, "--store", filepath.Join(dir, "store"), "--models", filepath.Dir(broken)}
	work := darkroom(t, append([]string{"work", "--http", "127.0.0.1:0"}, flags...)...)
	address := serving(t, work, io.Discard)

	enqueue := darkroom(t, append([]string{"enqueue", filepath.Join(dir, "night.jsonl"), "--wait"}, flags...)...)
	if _ = enqueue.Run(); enqueue.ProcessState.ExitCode() != 1 {
		t.Fatalf("enqueue: %v, want exit status 1 for one dead letter", enqueue.ProcessState)
	}
	var text string
	for tick := time.Tick(20 * time.Millisecond); ; <-tick { // a task ends just after its record is there
		if _, text = get(t, address+"/metrics"); !strings.Contains(text, `darkroom_queue_tasks{queue="default",state="active"} 1`) {
			break
		}
	}
	faults, err := promlint.New(strings.NewReader(text)).Lint()
	for _, f := range faults {
		t.Errorf("%s: %s", f.Metric, f.Text)
	}
	if err != nil {
		t.Error(err)
	}
	scraped := parse(t, text)
	for name, want := range map[string]float64{
		`darkroom_lines_done_total queue=default`:                    4,
		`darkroom_lines_failed_total class=bad_job queue=default`:    1,
		`darkroom_attempts_failed_total class=bad_job queue=default`: 1,
		`darkroom_jobs_running queue=default`:                        0,
		`darkroom_jobs_preempted_total queue=default`:                0,
		`darkroom_stage_seconds stage=denoise`:                       4,
		`darkroom_stage_seconds stage=publish`:                       4,
		`darkroom_queue_tasks queue=default state=pending`:           0,
		`darkroom_queue_tasks queue=default state=retry`:             0,
		`darkroom_models_loaded`:                                     1,
		`darkroom_redis_errors_total`:                                0,
		`darkroom_store_errors_total operation=get`:                  0,
		`darkroom_store_errors_total operation=put_if_absent`:        0,
	} {
		if got, ok := scraped[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
	calls, rows, slots := scraped["darkroom_engine_calls_total"], scraped["darkroom_engine_rows_total"], scraped["darkroom_engine_row_slots_total"]
	if least := 4. * 3; rows < least || calls < 1 || calls > rows || rows > slots {
		t.Errorf("%v rows in %v calls with room for %v, want %v rows at the least", rows, calls, slots, least)
	}
	if busy := scraped["darkroom_engine_busy_seconds_total"]; busy <= 0 || scraped["darkroom_model_memory_bytes"] <= 0 {
		t.Errorf("busy for %v s, with %v bytes of models", busy, scraped["darkroom_model_memory_bytes"])
	}
	if strings.Contains(text, "secret") {
		t.Error("the metrics hold a prompt")
	}

	// Without Redis it lives, isn't ready, and says so.
	if status, said := get(t, address+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d, %s", status, said)
	}
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, said := get(t, address+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(said, "reaching Redis at ") {
		t.Errorf("readyz without Redis: %d, %s", status, said)
	}
	if status, _ := get(t, address+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz without Redis: %d", status)
	}
	_, text = get(t, address+"/metrics")
	if scraped := parse(t, text); scraped["darkroom_redis_errors_total"] < 1 || strings.Contains(text, "darkroom_queue_tasks") {
		t.Errorf("without Redis there are %v of its errors, and\n%s", scraped["darkroom_redis_errors_total"], regexp.MustCompile(`(?m)^darkroom_queue.*`).FindString(text))
	}
	if err := work.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err != nil {
		t.Errorf("work ended with %v", err)
	}
}

// serving starts a consumer and returns where its health and metrics are, as
// it says, once it takes tasks. What it says goes to said as well.
func serving(t *testing.T, work *exec.Cmd, said io.Writer) (address string) {
	t.Helper()
	read, write := io.Pipe()
	work.Stderr = write
	if err := work.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { write.Close() })
	lines := bufio.NewScanner(io.TeeReader(read, io.MultiWriter(said, t.Output())))
	for lines.Scan() {
		if found := regexp.MustCompile(`^health and metrics are at (http://\S+)/healthz,`).FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
		if strings.HasPrefix(lines.Text(), "serving ") {
			go io.Copy(said, read)
			return address
		}
	}
	t.Fatal("work ended before it served")
	return ""
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// parse reads metrics into values by name and labels; of a histogram it keeps
// the count.
func parse(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewBufferString(text))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			key := name
			for _, label := range m.Label {
				key += " " + label.GetName() + "=" + label.GetValue()
			}
			switch family.GetType() {
			case dto.MetricType_COUNTER:
				values[key] = m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				values[key] = m.Gauge.GetValue()
			case dto.MetricType_HISTOGRAM:
				values[key] = float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return values
}
