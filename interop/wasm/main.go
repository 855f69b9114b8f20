//go:build js

package main

import (
	"context"
	"encoding/json"
	"strings"
	"syscall/js"
	"time"
)

// patience bounds a scenario, less than the tests wait for it.
const patience = 25 * time.Second

func main() {
	host := js.Global().Get("Object").New()
	host.Set("list", js.FuncOf(func(js.Value, []js.Value) any { return list() }))
	host.Set("run", js.FuncOf(func(_ js.Value, args []js.Value) any {
		return play(args[0].String(), js.Global().Get("JSON").Call("stringify", args[1]).String())
	}))
	js.Global().Set("goClient", host)
	select {} // it ends with the process, or the page
}

func list() any {
	var all []any
	for _, s := range scenarios() {
		var transports []any
		for transport := range strings.FieldsSeq(s.transports) {
			transports = append(transports, transport)
		}
		all = append(all, map[string]any{"name": s.name, "transports": transports})
	}
	return all
}

// play returns a promise of the outcome of a scenario.
func play(name, cfg string) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		go func() {
			defer executor.Release()
			args[0].Invoke(outcome(name, cfg))
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}

func outcome(name, cfg string) map[string]any {
	k := &kit{}
	result := map[string]any{"error": ""}
	err := json.Unmarshal([]byte(cfg), &k.config)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = k.run(ctx, name)
	}
	if err != nil {
		result["error"] = err.Error()
	}
	result["log"] = k.lines()
	return result
}
