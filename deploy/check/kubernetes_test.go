package check

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// cluster is what "kubectl apply -k deploy/kubernetes" sends, by kind and name.
type cluster map[string][]byte

// build renders the manifests in a copy, with the example's secrets and every
// component.
func build(t *testing.T) cluster {
	t.Helper()
	deploy := t.TempDir()
	for _, part := range []string{"kubernetes", "monitoring"} {
		if err := os.CopyFS(filepath.Join(deploy, part), os.DirFS(filepath.Join(checkout(), "deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(deploy, "kubernetes")
	example, err := os.ReadFile(filepath.Join(dir, "secret.env.example"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret.env"), example, 0o600); err != nil {
		t.Fatal(err)
	}
	top := filepath.Join(dir, "kustomization.yaml")
	text, err := os.ReadFile(top)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^  # - `).ReplaceAll(text, []byte("  - "))
	if bytes.Equal(all, text) {
		t.Error("no component is left to choose")
	}
	if err := os.WriteFile(top, all, 0o600); err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{}
	for _, r := range resources.Resources() {
		data, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := r.GetName()
		if kind := r.GetKind(); kind == "ConfigMap" || kind == "Secret" { // a digest stands behind it
			name = name[:strings.LastIndex(name, "-")]
		}
		c[r.GetKind()+" "+name] = data
		if ns := r.GetNamespace(); ns != "darkroom" && r.GetKind() != "Namespace" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), name, ns)
		}
	}
	return c
}

// decode reads a manifest as its kind, without a field that this hasn't.
func decode[T any](t *testing.T, c cluster, name string) (v T) {
	t.Helper()
	data, ok := c[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func TestKubernetes(t *testing.T) {
	c := build(t)
	work := decode[apps.Deployment](t, c, "Deployment work")
	redis := decode[apps.StatefulSet](t, c, "StatefulSet redis")
	service := decode[core.Service](t, c, "Service redis")
	budget := decode[policy.PodDisruptionBudget](t, c, "PodDisruptionBudget work")
	decode[core.ServiceAccount](t, c, "ServiceAccount darkroom")
	config := decode[core.ConfigMap](t, c, "ConfigMap darkroom")
	secret := decode[core.Secret](t, c, "Secret darkroom")

	for _, p := range []struct {
		name     string
		pod      core.PodTemplateSpec
		selector map[string]string
	}{{"work", work.Spec.Template, work.Spec.Selector.MatchLabels}, {"redis", redis.Spec.Template, redis.Spec.Selector.MatchLabels}} {
		checkPod(t, p.name, p.pod)
		for k, v := range p.selector {
			if p.pod.Labels[k] != v {
				t.Errorf("%s: the selector doesn't find its pods", p.name)
			}
		}
	}
	if service.Spec.Selector["app"] != redis.Spec.Template.Labels["app"] || redis.Spec.ServiceName != service.Name {
		t.Error("the service redis doesn't find Redis")
	}
	if budget.Spec.Selector.MatchLabels["app"] != work.Spec.Template.Labels["app"] {
		t.Error("the disruption budget doesn't find the consumers")
	}
	checkRedis(t, "redis", redis.Spec.Template.Spec.Containers[0].Args)

	pod := work.Spec.Template.Spec
	w := pod.Containers[0]
	if gpus := w.Resources.Limits["nvidia.com/gpu"]; w.Image != "registry.example.com/darkroom:gpu" || gpus.Value() != 1 {
		t.Errorf("the GPU's component gives the image %s and %d GPUs", w.Image, gpus.Value())
	}
	env := slices.Collect(maps.Keys(config.Data))
	for _, e := range w.Env {
		env = append(env, e.Name)
	}
	checkCommand(t, "work", w.Args, env)
	if want := compose(t, secrets, "docker-compose.yml").Services["work"].Command; !slices.Equal(w.Args, want) {
		t.Errorf("work: %v, but %v in docker-compose.yml", w.Args, want)
	}
	for _, e := range append(w.Env, redis.Spec.Template.Spec.Containers[0].Env...) {
		if from := e.ValueFrom; from != nil && secret.Data[from.SecretKeyRef.Key] == nil {
			t.Errorf("%s: the secret has no %s", e.Name, from.SecretKeyRef.Key)
		}
	}

	grace, err := time.ParseDuration(after(w.Args, "--grace"))
	if err != nil {
		t.Fatal(err)
	}
	before := time.Duration(w.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if have := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; have < before+grace+margin {
		t.Errorf("work: a pod has %v to end in, want at least %v", have, before+grace+margin)
	}
	port := strings.TrimPrefix(after(w.Args, "--http"), ":")
	for name, probe := range map[string]*core.Probe{"startup": w.StartupProbe, "liveness": w.LivenessProbe, "readiness": w.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || !slices.Contains(probes, probe.HTTPGet.Path) || probe.HTTPGet.Port.String() != w.Ports[0].Name {
			t.Errorf("work: %s probe %+v", name, probe)
		}
	}
	if work.Spec.Template.Annotations["prometheus.io/port"] != port || w.Ports[0].ContainerPort != 8080 || port != "8080" {
		t.Error("work: --http, the container's port and the one to be scraped differ")
	}
}

// checkPod holds that a pod runs without rights, and has its resources named.
func checkPod(t *testing.T, name string, pod core.PodTemplateSpec) {
	t.Helper()
	if s := pod.Spec.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 {
		t.Errorf("%s runs as root", name)
	}
	for _, c := range pod.Spec.Containers {
		s := c.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s: %s has rights that it doesn't need", name, c.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: %s has no resources named", name, c.Name)
		}
	}
}

// Consumers are scaled by the two lists in which asynq keeps a queue's tasks.
func TestScaling(t *testing.T) {
	c := build(t)
	type trigger struct {
		Type, Name        string
		Metadata          struct{ Address, ListName, ListLength string }
		AuthenticationRef struct{ Name string }
	}
	scaled := struct {
		Spec struct {
			ScaleTargetRef  struct{ Name string }
			MinReplicaCount int
			Advanced        struct{ ScalingModifiers struct{ Formula string } }
			Triggers        []trigger
		}
	}{}
	if err := yaml.Unmarshal(c["ScaledObject work"], &scaled); err != nil {
		t.Fatal(err)
	}
	s := scaled.Spec
	if s.ScaleTargetRef.Name != "work" || s.MinReplicaCount < 1 {
		t.Errorf("%s is scaled, down to %d", s.ScaleTargetRef.Name, s.MinReplicaCount)
	}
	var lists, names []string
	for _, trigger := range s.Triggers {
		lists = append(lists, trigger.Metadata.ListName)
		names = append(names, trigger.Name)
		if trigger.Type != "redis" || trigger.Metadata.Address != "redis.darkroom.svc:6379" || c["TriggerAuthentication "+trigger.AuthenticationRef.Name] == nil {
			t.Errorf("trigger %+v", trigger)
		}
	}
	if !slices.Equal(lists, scaledBy) {
		t.Errorf("scaled by %v, want %v", lists, scaledBy)
	}
	if got := s.Advanced.ScalingModifiers.Formula; got != strings.Join(names, " + ") {
		t.Errorf("the formula is %s, of %v", got, names)
	}
	var auth struct {
		Spec struct{ SecretTargetRef []struct{ Name, Key string } }
	}
	if err := yaml.Unmarshal(c["TriggerAuthentication redis"], &auth); err != nil {
		t.Fatal(err)
	}
	secret := decode[core.Secret](t, c, "Secret darkroom")
	if ref := auth.Spec.SecretTargetRef; len(ref) != 1 || ref[0].Name != secret.Name || secret.Data[ref[0].Key] == nil {
		t.Errorf("KEDA looks for its password in %+v, the secret is %s", ref, secret.Name)
	}
}
