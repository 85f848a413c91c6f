package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var (
	metricName = regexp.MustCompile(`\b(darkroom|process|go)_[a-z_]+`)
	// What a histogram is made of.
	part = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// checkMonitoring holds that the dashboard and the alerts ask for what a
// consumer tells. Two are told only once something has failed: those stand in
// the code.
func checkMonitoring(t *testing.T, told map[string]bool) {
	t.Helper()
	code := ""
	files, err := filepath.Glob(filepath.Join(checkout(), "consumer/metrics/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code += read(t, file)
	}
	for where, expr := range queries(t) {
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for nothing: %s", where, expr)
		}
		for _, name := range names {
			if !told[name] && !strings.Contains(code, `"`+strings.TrimPrefix(name, "darkroom_")+`"`) {
				t.Errorf("%s asks for %s, which no consumer tells", where, name)
			}
		}
	}
	shown := ""
	for _, expr := range queries(t) {
		shown += expr + "\n"
	}
	for name := range told {
		if name = part.ReplaceAllString(name, ""); strings.HasPrefix(name, "darkroom_") && name != "darkroom_engine_lanes" && name != "darkroom_models_loaded" && !strings.Contains(shown, name) {
			t.Errorf("%s is told, and on no panel", name)
		}
	}
}

// queries are the dashboard's and the alerts', by where they stand.
func queries(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(checkout(), "deploy/monitoring/dashboard.json"))), &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(checkout(), "deploy/monitoring/alerts.yml"))), &alerts); err != nil {
		t.Fatal(err)
	}
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			all["alert "+r.Alert] = r.Expr
		}
	}
	if len(all) < 10 {
		t.Errorf("%d queries", len(all))
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
