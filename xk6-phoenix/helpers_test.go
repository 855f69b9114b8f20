package xk6phoenix_test

import (
	"context"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/phxgo/phoenix/phoenixtest"
	xk6phoenix "github.com/phxgo/xk6-phoenix"
	"github.com/phxgo/xk6-phoenix/internal/demo"
)

// A vu is a VU of k6's test kit with the extension in it.
type vu struct {
	t       *testing.T
	runtime *modulestest.Runtime
	samples chan metrics.SampleContainer
	run     context.Context
	stop    context.CancelFunc

	said []string // what the script gave to out, as JSON
	mu   sync.Mutex
	got  []metrics.Sample
	read chan struct{} // closed when samples is closed and empty
}

// newVU makes a VU in the init context. Its sockets reach server.
func newVU(t *testing.T, root *xk6phoenix.RootModule) *vu {
	t.Helper()
	v := &vu{t: t, runtime: modulestest.NewRuntime(t), samples: make(chan metrics.SampleContainer), read: make(chan struct{})}
	v.run, v.stop = context.WithCancel(t.Context())
	exports := root.NewModuleInstance(v.runtime.VU).Exports()
	for name, value := range exports.Named {
		v.set(name, value)
	}
	v.set("out", func(text string) { v.said = append(v.said, text) })
	v.script(`const say = (...all) => all.forEach((v) => out(JSON.stringify(v)));`)
	go func() {
		defer close(v.read)
		for c := range v.samples {
			v.mu.Lock()
			v.got = append(v.got, c.GetSamples()...)
			v.mu.Unlock()
		}
	}()
	t.Cleanup(v.end)
	return v
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func (d dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// start moves the VU out of the init context.
func (v *vu) start(server *phoenixtest.Server) {
	v.t.Helper()
	v.set("url", server.URL())
	env := v.runtime.VU.InitEnvField
	tags := metrics.SystemTagSet(metrics.TagURL | metrics.TagName | metrics.TagStatus)
	v.runtime.MoveToVUContext(&lib.State{
		Options:        lib.Options{SystemTags: &tags},
		Dialer:         dialer(server.DialContext),
		Samples:        v.samples,
		Tags:           lib.NewVUStateTags(env.Registry.RootTagSet()),
		BuiltinMetrics: v.runtime.BuiltinMetrics,
		Logger:         env.Logger,
	})
}

// set gives the script a global.
func (v *vu) set(name string, value any) {
	v.t.Helper()
	if err := v.runtime.VU.Runtime().Set(name, value); err != nil {
		v.t.Fatal(err)
	}
}

// script runs code of the init context.
func (v *vu) script(code string) {
	v.t.Helper()
	if _, err := v.runtime.VU.Runtime().RunString(code); err != nil {
		v.t.Fatal(err)
	}
}

// try runs an iteration, as k6 does, and returns its error.
func (v *vu) try(code string) error {
	ctx, cancel := context.WithCancel(v.run)
	v.runtime.VU.CtxField = ctx
	err := v.runtime.EventLoop.Start(func() error {
		_, err := v.runtime.VU.Runtime().RunString("(async () => {" + code + "})()")
		return err
	})
	cancel()
	v.runtime.EventLoop.WaitOnRegistered()
	return err
}

// iterate runs an iteration that has to succeed, and returns what it said.
func (v *vu) iterate(code string) []string {
	v.t.Helper()
	v.said = nil
	if err := v.try(code); err != nil {
		v.t.Fatalf("the iteration failed: %v", err)
	}
	return v.said
}

// end ends the test run: k6 closes the channel of samples.
func (v *vu) end() {
	v.stop()
	select {
	case <-v.read:
	default:
		close(v.samples)
		<-v.read
	}
}

// sums returns the sum of the values of a metric by the tags that are named.
func (v *vu) sums(metric string, tags ...string) map[string]float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	sums := map[string]float64{}
	for _, s := range v.got {
		if s.Metric.Name != metric {
			continue
		}
		var key []string
		for _, tag := range tags {
			value, _ := s.Tags.Get(tag)
			key = append(key, value)
		}
		sums[strings.Join(key, " ")] += s.Value
	}
	return sums
}

// values returns the values of a metric.
func (v *vu) values(metric string) []float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	var values []float64
	for _, s := range v.got {
		if s.Metric.Name == metric {
			values = append(values, s.Value)
		}
	}
	return values
}

// inBubble runs a test in virtual time, with a VU and a demo server.
func inBubble(t *testing.T, fn func(t *testing.T, v *vu, server *phoenixtest.Server)) {
	t.Helper()
	phoenixtest.Bubble(t, nil, func(t *testing.T, server *phoenixtest.Server) {
		demo.Mount(server)
		v := newVU(t, new(xk6phoenix.RootModule))
		v.start(server)
		fn(t, v, server)
		v.end()
	})
}

// wantSaid compares what a script said with JSON texts.
func wantSaid(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the script said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// cutAll returns a function that cuts all connections.
func cutAll(server *phoenixtest.Server) func() {
	return func() {
		for _, c := range server.Conns() {
			c.Cut()
		}
	}
}

// throws checks that each script throws an error with the given text in it.
func (v *vu) throws(scripts map[string]string) {
	v.t.Helper()
	for script, want := range scripts {
		_, err := v.runtime.VU.Runtime().RunString(script)
		if err == nil || !strings.Contains(err.Error(), want) {
			v.t.Errorf("%s: got %v, want %q in it", script, err, want)
		}
	}
}
