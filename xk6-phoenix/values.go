package xk6phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib/types"

	"github.com/phxgo/phoenix"
)

// jsonFunctions are JSON.parse and JSON.stringify of a runtime: what they make is what
// the script expects, which a Go map is not.
type jsonFunctions struct {
	parse, stringify sobek.Callable
	isView           sobek.Callable // ArrayBuffer.isView
}

var errNoJSON = errors.New("the runtime has no JSON")

// jsonOf returns the functions of the VU's runtime.
func (m *module) jsonOf() (*jsonFunctions, error) {
	if m.json.parse != nil {
		return &m.json, nil
	}
	rt := m.vu.Runtime()
	value := rt.GlobalObject().Get("JSON")
	if common.IsNullish(value) {
		return nil, errNoJSON
	}
	parse, ok1 := sobek.AssertFunction(value.ToObject(rt).Get("parse"))
	stringify, ok2 := sobek.AssertFunction(value.ToObject(rt).Get("stringify"))
	if !ok1 || !ok2 {
		return nil, errNoJSON
	}
	isView, ok := sobek.AssertFunction(rt.GlobalObject().Get("ArrayBuffer").ToObject(rt).Get("isView"))
	if !ok {
		return nil, errNoJSON
	}
	m.json = jsonFunctions{parse, stringify, isView}
	return &m.json, nil
}

// value makes a value of the script of a payload: what JSON.parse returns, or an
// ArrayBuffer.
func (m *module) value(p phoenix.Payload) (sobek.Value, error) {
	rt := m.vu.Runtime()
	if p.IsBinary() {
		return rt.ToValue(rt.NewArrayBuffer(bytes.Clone(p.Bytes()))), nil
	}
	return m.parse(p.Bytes())
}

func (m *module) parse(text []byte) (sobek.Value, error) {
	fns, err := m.jsonOf()
	if err != nil {
		return nil, err
	}
	return fns.parse(sobek.Undefined(), m.vu.Runtime().ToValue(string(text)))
}

// payload makes a payload of a value of the script: an ArrayBuffer and its views are
// binary, undefined and null are {}, all else is what JSON.stringify makes of it.
func (m *module) payload(v sobek.Value) (any, error) {
	if common.IsNullish(v) {
		return json.RawMessage("{}"), nil
	}
	if obj, ok := v.(*sobek.Object); ok {
		if data, ok, err := m.binary(obj); ok || err != nil {
			return data, err
		}
	}
	text, err := m.stringify(v)
	return json.RawMessage(text), err
}

// binary returns a copy of the bytes of an ArrayBuffer or of a view of one, and whether
// the object is that.
func (m *module) binary(obj *sobek.Object) (data phoenix.Binary, ok bool, err error) {
	fns, err := m.jsonOf()
	if err != nil {
		return nil, false, err
	}
	source, view := obj, false
	if obj.ExportType() != reflect.TypeFor[sobek.ArrayBuffer]() {
		is, err := fns.isView(sobek.Undefined(), obj)
		if err != nil || !is.ToBoolean() {
			return nil, false, err
		}
		source, view = obj.Get("buffer").ToObject(m.vu.Runtime()), true
	}
	buffer, ok := source.Export().(sobek.ArrayBuffer)
	if !ok || buffer.Detached() {
		return nil, false, errors.New("the payload is an ArrayBuffer that is detached")
	}
	all := buffer.Bytes()
	if view {
		from, size := obj.Get("byteOffset").ToInteger(), obj.Get("byteLength").ToInteger()
		all = all[from : from+size]
	}
	return bytes.Clone(all), true, nil
}

func (m *module) stringify(v sobek.Value) (string, error) {
	fns, err := m.jsonOf()
	if err != nil {
		return "", err
	}
	text, err := fns.stringify(sobek.Undefined(), v)
	if err != nil {
		return "", err
	}
	if common.IsNullish(text) {
		return "", fmt.Errorf("the payload is a %s, which JSON cannot carry", kindOf(v))
	}
	return text.String(), nil
}

// kindOf says what a value is, for an error.
func kindOf(v sobek.Value) string {
	if _, ok := sobek.AssertFunction(v); ok {
		return "function"
	}
	if t := v.ExportType(); t != nil {
		return t.String()
	}
	return v.String()
}

// duration returns a duration of the script: "5s", or milliseconds.
func duration(name string, v sobek.Value) (time.Duration, error) {
	if f, ok := v.Export().(float64); ok && (math.IsNaN(f) || math.Abs(f) > float64(math.MaxInt64/time.Millisecond)) {
		return 0, fmt.Errorf("%s: %v is no duration", name, v)
	}
	d, err := types.GetDurationValue(v.Export())
	if err != nil {
		return 0, fmt.Errorf(`%s: want a duration such as "5s", or milliseconds: %w`, name, err)
	}
	return d, nil
}

// fields calls set for each property of an object that has a value. It fails for a
// value that is no object.
func (m *module) fields(what string, v sobek.Value, set func(name string, v sobek.Value) error) error {
	if common.IsNullish(v) {
		return nil
	}
	obj, ok := v.(*sobek.Object)
	if !ok {
		return fmt.Errorf("%s: want an object, not %s", what, v)
	}
	// A list has the names "0", "1", and so on.
	if class := obj.ClassName(); class != "Object" {
		return fmt.Errorf("%s: want an object such as {name: value}, not a value of type %s", what, class)
	}
	for _, name := range obj.Keys() {
		value := obj.Get(name)
		if common.IsNullish(value) {
			continue
		}
		if err := set(name, value); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// text returns a string, number or boolean as text.
func text(name string, v sobek.Value) (string, error) {
	switch v.Export().(type) {
	case string, int64, float64, bool:
		return v.String(), nil
	}
	return "", fmt.Errorf("%s: want a string, a number or a boolean", name)
}

// name returns a name that cannot be left out: undefined would become a topic or an
// event of that name.
func name(what string, v sobek.Value) (string, error) {
	if common.IsNullish(v) {
		return "", fmt.Errorf("%s is missing: it is %s", what, orUndefined(v))
	}
	switch v.Export().(type) {
	case string, int64, float64:
		return v.String(), nil
	}
	return "", fmt.Errorf("%s: want a string", what)
}

func orUndefined(v sobek.Value) sobek.Value {
	if v == nil {
		return sobek.Undefined()
	}
	return v
}

// flag returns a boolean.
func flag(name string, v sobek.Value) (bool, error) {
	b, ok := v.Export().(bool)
	if !ok {
		return false, fmt.Errorf("%s: want true or false", name)
	}
	return b, nil
}

// texts returns an object as a map of texts.
func (m *module) texts(name string, v sobek.Value) (map[string]string, error) {
	out := map[string]string{}
	err := m.fields(name, v, func(key string, v sobek.Value) error {
		var err error
		out[key], err = text(key, v)
		return err
	})
	return out, err
}

// object makes an object of the script.
func (m *module) object(fields ...field) *sobek.Object {
	obj := m.vu.Runtime().NewObject()
	for _, f := range fields {
		// It fails only for an object that is frozen or has setters.
		_ = obj.Set(f.name, f.value)
	}
	return obj
}

// A field of an object.
type field struct {
	name  string
	value any
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// contains reports whether got has all that want has: objects may have more
// properties, lists must have as many elements.
func contains(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for name, w := range want {
			if g, ok := object[name]; !ok || !contains(g, w) {
				return false
			}
		}
		return true
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i, w := range want {
			if !contains(list[i], w) {
				return false
			}
		}
		return true
	}
	if w, ok := number(want); ok {
		g, ok := number(got)
		return ok && g == w
	}
	switch got.(type) {
	case map[string]any, []any:
		return false
	}
	return got == want
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
