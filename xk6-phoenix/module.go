// Package xk6phoenix is the k6 extension k6/x/phoenix: Phoenix Channels for load tests
// in JavaScript. README.md has the API of the scripts, index.d.ts its types.
package xk6phoenix

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"
)

// ImportPath is what a script imports.
const ImportPath = "k6/x/phoenix"

func init() { //nolint:gochecknoinits // how k6 learns of an extension
	modules.Register(ImportPath, new(RootModule))
}

// RootModule is the module of a test run: what all VUs share. The zero value is ready
// to use.
type RootModule struct {
	keeper  keeper
	signers signers
	clock   clock
	warned  sync.Once // of a socket that was still open at the end of an iteration
	crowded sync.Once // the warning of persistent sockets that pile up
}

var _ modules.Module = (*RootModule)(nil)

// NewModuleInstance makes the module of a VU. k6 calls it in the init context.
func (r *RootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	m := &module{root: r, vu: vu}
	var err error
	if m.instruments, err = register(vu.InitEnv().Registry); err != nil {
		common.Throw(vu.Runtime(), fmt.Errorf("%s: %w", ImportPath, err))
	}
	m.queue.register = vu.RegisterCallback
	m.queue.flush = m.flush
	return m
}

// A module is the module of a VU. Its fields are for the event loop alone.
type module struct {
	root        *RootModule
	vu          modules.VU
	instruments *instruments
	queue       queue
	json        jsonFunctions
	sessions    map[*session]struct{} // those whose figures are collected
	recorder    recorder
	network     network
}

var _ modules.Instance = (*module)(nil)

// Exports returns what a script can import.
func (m *module) Exports() modules.Exports {
	rt := m.vu.Runtime()
	mint := rt.NewObject()
	for name, fn := range map[string]any{"sign": m.sign, "encrypt": m.encrypt} {
		if err := mint.Set(name, fn); err != nil {
			common.Throw(rt, err)
		}
	}
	return modules.Exports{Named: map[string]any{"Socket": m.newSocket, "token": mint}}
}

var errInit = errors.New("it does no I/O in the init context: call it in a function that k6 runs, such as default or setup")

// running returns the state and the context of the iteration.
func (m *module) running(what string) (*lib.State, context.Context, error) {
	state := m.vu.State()
	if state == nil {
		return nil, nil, fmt.Errorf("%s: %w", what, errInit)
	}
	ctx := m.vu.Context()
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("%s: the iteration has ended", what)
	}
	return state, ctx, nil
}

// ended reports whether the iteration is over: then no code of the script's runs any
// more, but what is under way is still brought to its end.
func (m *module) ended() bool { return m.vu.Context().Err() != nil }

// A promise holds the queue until it is settled.
type promise struct {
	m       *module
	resolve func(any) error
	reject  func(any) error
	settled bool
}

// promise makes a promise. It runs on the loop.
func (m *module) promise() (*sobek.Promise, *promise) {
	p, resolve, reject := m.vu.Runtime().NewPromise()
	m.queue.hold()
	return p, &promise{m: m, resolve: resolve, reject: reject}
}

// settle ends the promise with a value, unless the iteration is over. It runs in a
// task.
func (p *promise) settle(value func() any) error { return p.end(p.resolve, value) }

// fail ends the promise with an error. It runs in a task, too.
func (p *promise) fail(reason func() any) error { return p.end(p.reject, reason) }

func (p *promise) end(with func(any) error, value func() any) error {
	if p.settled {
		return nil
	}
	p.settled = true
	p.m.queue.release()
	if p.m.ended() {
		return nil
	}
	return with(value())
}

// resolved returns a promise that has its value.
func (m *module) resolved(value any) (*sobek.Promise, error) {
	p, resolve, _ := m.vu.Runtime().NewPromise()
	return p, resolve(value)
}

func undefined() any { return sobek.Undefined() }

// settleAll settles promises of the same outcome, and returns the first error.
func settleAll(all []*promise, settle func(*promise) error) error {
	var errs []error
	for _, pr := range all {
		errs = append(errs, settle(pr))
	}
	return first(errs)
}
