// Package check holds docker-compose.yml and what is in deploy/ against each
// other and against the binary, and runs the composed system with plain
// processes. It is a module of its own: its libraries are none of darkroom's.
package check

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// secrets are what a user's .env has.
var secrets = []string{"REDIS_PASSWORD=redis-secret", "S3_ACCESS_KEY=key", "S3_SECRET_KEY=s3-secret"}

// checkout is darkroom's own folder.
var checkout = sync.OnceValue(func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
})

// compose reads Compose files of the checkout, with the services of all profiles.
func compose(t *testing.T, env []string, files ...string) *types.Project {
	t.Helper()
	project, err := load(env, files...)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// load reads Compose files as docker compose does.
func load(env []string, files ...string) (*types.Project, error) {
	for i := range files {
		files[i] = filepath.Join(checkout(), files[i])
	}
	options, err := cli.NewProjectOptions(files, cli.WithName("darkroom"), cli.WithWorkingDirectory(checkout()), cli.WithEnv(env), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

// bin is where the binary is built.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "darkroom-")
	if err != nil {
		panic(err)
	}
	bin = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// darkroom is the binary, built once.
var darkroom = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "darkroom")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir, cmd.Stderr = checkout(), os.Stderr
	return path, cmd.Run()
})

// help is what the binary says of a command.
func help(t *testing.T, command string) string {
	t.Helper()
	path, err := darkroom()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, command, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var flagName = regexp.MustCompile(`^--[a-z][a-z-]*`)

// checkCommand holds that a command line names flags, and its environment
// variables, that the binary has.
func checkCommand(t *testing.T, where string, command, env []string) {
	t.Helper()
	if len(command) == 0 {
		t.Errorf("%s: no command", where)
		return
	}
	text := help(t, command[0])
	for _, word := range command {
		if name := flagName.FindString(word); name != "" && !regexp.MustCompile(name+`\b`).MatchString(text) {
			t.Errorf("%s: darkroom %s has no %s", where, command[0], name)
		}
	}
	for _, name := range env {
		if strings.HasPrefix(name, "DARKROOM_") && !regexp.MustCompile(`\$`+name+`\b`).MatchString(text) {
			t.Errorf("%s: darkroom %s doesn't read %s", where, command[0], name)
		}
	}
}

// after returns the word behind another one, empty where that isn't there.
func after(words []string, word string) string {
	for i := 1; i < len(words); i++ {
		if words[i-1] == word {
			return words[i]
		}
	}
	return ""
}

// checkRedis holds that nothing of Redis's is evicted or lost with its process.
func checkRedis(t *testing.T, where string, command []string) {
	t.Helper()
	for flag, want := range map[string]string{"--appendonly": "yes", "--appendfsync": "everysec", "--maxmemory-policy": "noeviction"} {
		if got := after(command, flag); got != want {
			t.Errorf("%s: %s %s, want %s", where, flag, got, want)
		}
	}
	if after(command, "--requirepass") == "" {
		t.Errorf("%s: no password", where)
	}
}
