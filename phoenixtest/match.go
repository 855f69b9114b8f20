package phoenixtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Matcher is a condition for [Conn.ExpectPush] and its siblings: it returns what
// is wrong with a message, or nil. Any function of this type will do; [Equal] and
// [Subset] make the usual ones. It must not change anything: it may be called
// several times, and for messages that other expectations take.
type Matcher func(m Message) error

// Equal matches payloads that are equal to v as values. White space and the order
// of keys do not count, nor whether a number is written 1 or 1.0. See [OK] for
// what v may be. A Binary matches the same bytes.
func Equal(v any) Matcher { return comparing(v, false) }

// Subset matches payloads that contain v. An object must have at least the keys
// of v, with values that contain those of v. A list must have the same length,
// with elements that contain those of v. Other values must be equal.
func Subset(v any) Matcher { return comparing(v, true) }

func comparing(v any, subset bool) Matcher {
	want, err := payloadOf(v)
	if err != nil {
		return func(Message) error { return err }
	}
	return func(m Message) error {
		if want.binary || m.Payload.binary {
			if !want.Equal(m.Payload) {
				return fmt.Errorf("payload: got %s, want %s", show(m.Payload), show(want))
			}
			return nil
		}
		w, err := decodeExactly(want.text())
		if err != nil {
			return err
		}
		got, err := decodeExactly(m.Payload.text())
		if err != nil {
			return err
		}
		return compare("payload", got, w, subset)
	}
}

func show(p Payload) string {
	if p.binary {
		return fmt.Sprintf("the bytes %q", p.data)
	}
	return p.text()
}

// decodeExactly keeps numbers as they are written.
func decodeExactly(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("phoenixtest: decode payload: %w", err)
	}
	return v, nil
}

func compare(path string, got, want any, subset bool) error {
	switch want := want.(type) {
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			return compareObjects(path, got, want, subset)
		}
	case []any:
		if got, ok := got.([]any); ok {
			return compareLists(path, got, want, subset)
		}
	case json.Number:
		if got, ok := got.(json.Number); ok && sameNumber(string(got), string(want)) {
			return nil
		}
	default:
		if got == want {
			return nil
		}
	}
	return fmt.Errorf("%s: got %s, want %s", path, jsonText(got), jsonText(want))
}

func compareObjects(path string, got, want map[string]any, subset bool) error {
	var all []error
	for _, key := range slices.Sorted(maps.Keys(want)) {
		v, ok := got[key]
		if !ok {
			all = append(all, fmt.Errorf("%s.%s: missing, want %s", path, key, jsonText(want[key])))
			continue
		}
		if err := compare(path+"."+key, v, want[key], subset); err != nil {
			all = append(all, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok && !subset {
			all = append(all, fmt.Errorf("%s.%s: got %s, want none", path, key, jsonText(got[key])))
		}
	}
	return errors.Join(all...)
}

func compareLists(path string, got, want []any, subset bool) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: got %d elements, want %d: %s", path, len(got), len(want), jsonText(got))
	}
	var all []error
	for i := range want {
		if err := compare(path+"["+strconv.Itoa(i)+"]", got[i], want[i], subset); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// sameNumber compares exactly, unless there is an exponent, which could ask for
// any amount of memory.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	if strings.ContainsAny(a+b, "eE") {
		x, err := strconv.ParseFloat(a, 64)
		y, err2 := strconv.ParseFloat(b, 64)
		return err == nil && err2 == nil && x == y
	}
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}

func jsonText(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
