package check

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// margin is what a consumer may need beyond --grace, for its last words to
// Redis.
const margin = 5 * time.Second

// probes are the paths that a consumer answers at.
var probes = []string{"/healthz", "/readyz"}

func TestCompose(t *testing.T) {
	project := compose(t, secrets, "docker-compose.yml")
	checkRedis(t, "redis", project.Services["redis"].Command)

	work := project.Services["work"]
	grace, err := time.ParseDuration(after(work.Command, "--grace"))
	if err != nil {
		t.Fatalf("work: --grace: %v", err)
	}
	if work.StopGracePeriod == nil || time.Duration(*work.StopGracePeriod) < grace+margin {
		t.Errorf("work: stop_grace_period is %v, want at least %v", work.StopGracePeriod, grace+margin)
	}
	if work.ContainerName != "" || len(work.Ports) > 0 {
		t.Error("work: a name or a port of its own is in the way of --scale")
	}
	for _, name := range []string{"work", "darkroom"} {
		s := project.Services[name]
		checkCommand(t, name, s.Command, slices.Collect(maps.Keys(s.Environment)))
	}
	for _, name := range []string{"redis", "s3", "work"} {
		s := project.Services[name]
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s: no health check", name)
		}
		if s.Restart != "unless-stopped" {
			t.Errorf("%s: restart is %q", name, s.Restart)
		}
	}
	if url := work.HealthCheck.Test[len(work.HealthCheck.Test)-1]; !slices.ContainsFunc(probes, func(p string) bool {
		return url == "http://127.0.0.1"+after(work.Command, "--http")+p
	}) {
		t.Errorf("work: the health check asks %s", url)
	}
}

// With the GPU's file the same consumer runs in the other image.
func TestComposeGPU(t *testing.T) {
	work := compose(t, secrets, "docker-compose.yml", "deploy/gpu.yml").Services["work"]
	if work.Build.Target != "gpu" || work.Image != "darkroom:gpu" {
		t.Errorf("built from %s as %s", work.Build.Target, work.Image)
	}
	if d := work.Deploy.Resources.Reservations.Devices; len(d) != 1 || d[0].Driver != "nvidia" || !slices.Equal(d[0].IDs, []string{"0"}) {
		t.Errorf("devices: %+v", d)
	}
}

// Secrets come from the environment: they are asked for, and stand in no file.
func TestSecrets(t *testing.T) {
	for i, missing := range secrets {
		env := slices.Delete(slices.Clone(secrets), i, i+1)
		name, _, _ := strings.Cut(missing, "=")
		t.Run(name, func(t *testing.T) {
			if _, err := load(env, "docker-compose.yml"); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("without %s: %v", name, err)
			}
		})
	}
	ignored, err := os.ReadFile(filepath.Join(checkout(), ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(filepath.Join(checkout(), ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"/.env", "/deploy/kubernetes/secret.env"} {
		if !bytes.Contains(ignored, []byte(line+"\n")) {
			t.Errorf(".gitignore doesn't name %s", line)
		}
	}
	for _, line := range []string{".env", "deploy/kubernetes"} {
		if !bytes.Contains(left, []byte(line+"\n")) {
			t.Errorf(".dockerignore doesn't name %s: it would be sent to whoever builds the image", line)
		}
	}
	dockerfile, err := os.ReadFile(filepath.Join(checkout(), "deploy/Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"PASSWORD", "SECRET", "AWS_"} {
		if bytes.Contains(dockerfile, []byte(word)) {
			t.Errorf("deploy/Dockerfile names %s", word)
		}
	}
}
