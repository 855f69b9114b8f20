package xk6phoenix_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A testRun has the fields of k6-operator's TestRun (api/v1alpha1/testrun_types.go)
// that the manifest uses.
type testRun struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   named  `yaml:"metadata"`
	Spec       struct {
		Parallelism int    `yaml:"parallelism"`
		Separate    bool   `yaml:"separate"`
		Arguments   string `yaml:"arguments"`
		Script      struct {
			ConfigMap struct {
				Name string `yaml:"name"`
				File string `yaml:"file"`
			} `yaml:"configMap"`
		} `yaml:"script"`
		Runner struct {
			Image     string     `yaml:"image"`
			Env       []variable `yaml:"env"`
			Resources struct {
				Requests map[string]string `yaml:"requests"`
			} `yaml:"resources"`
		} `yaml:"runner"`
	} `yaml:"spec"`
}

type named struct {
	Name string `yaml:"name"`
}

// A variable of the environment of a container.
type variable struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value"`
	ValueFrom struct {
		SecretKeyRef struct {
			Name string `yaml:"name"`
			Key  string `yaml:"key"`
		} `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

// TestKubernetes has the manifest and the image of the runner, as far as they can be
// checked without a cluster.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	manifest := read(t, "examples/kubernetes/testrun.yaml")
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(manifest)))
	decoder.KnownFields(true)
	var run testRun
	if err := decoder.Decode(&run); err != nil {
		t.Fatal(err)
	}
	if run.APIVersion != "k6.io/v1alpha1" || run.Kind != "TestRun" || run.Spec.Parallelism < 2 || run.Spec.Runner.Image == "" {
		t.Errorf("the manifest is %+v", run)
	}
	script := run.Spec.Script.ConfigMap
	if !strings.Contains(manifest, "kubectl create configmap "+script.Name+" --from-file="+script.File+"\n") {
		t.Errorf("the manifest does not say how to make %+v", script)
	}
	if _, err := os.Stat("examples/" + script.File); err != nil {
		t.Error(err)
	}
	scripts := read(t, "examples/rooms.js") + read(t, "examples/tokens.js")
	for _, v := range run.Spec.Runner.Env {
		if !strings.HasPrefix(v.Name, "K6_") && !strings.Contains(scripts, "__ENV."+v.Name) {
			t.Errorf("no script uses %s", v.Name)
		}
		if ref := v.ValueFrom.SecretKeyRef; ref.Key != "" && !strings.Contains(manifest, "secret generic "+ref.Name+" --from-literal="+ref.Key+"=") {
			t.Errorf("the manifest does not say how to make %+v", ref)
		}
	}
	dockerfile, module := read(t, "examples/kubernetes/Dockerfile"), read(t, "go.mod")
	name := regexp.MustCompile(`(?m)^module (.*)$`).FindStringSubmatch(module)[1]
	k6 := regexp.MustCompile(`(?m)^\tgo\.k6\.io/k6/v2 v(\S+)$`).FindStringSubmatch(module)[1]
	for _, want := range []string{" " + name + "/cmd/k6phx@${VERSION}\n", "\nFROM grafana/k6:" + k6 + "\n", "t " + run.Spec.Runner.Image + " ."} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile does not have %q", want)
		}
	}
}
