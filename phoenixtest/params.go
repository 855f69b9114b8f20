package phoenixtest

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// param is one name and value of a query, decoded.
type param struct{ key, value string }

var errQuery = errors.New("the query is not UTF-8")

// parseQuery decodes a query in order. A percent sign that begins no escape stands
// for itself; what is not UTF-8 is refused.
func parseQuery(query string) ([]param, error) {
	var all []param
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, value = unescape(key), unescape(value)
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return nil, errQuery
		}
		all = append(all, param{key, value})
	}
	return all, nil
}

// unescape is URI.decode_www_form/1.
func unescape(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// flatParams keeps the last value of each name, and all of those that end in
// "[]".
func flatParams(all []param) url.Values {
	values := make(url.Values)
	for _, p := range all {
		if strings.HasSuffix(p.key, "[]") {
			values.Add(p.key, p.value)
		} else {
			values.Set(p.key, p.value)
		}
	}
	return values
}

// nestParams decodes Plug's bracket syntax, as Plug.Conn.Query does it: in two
// steps, so that what params say of a name can be put together. Of two that
// contradict each other the later one wins.
func nestParams(all []param) map[string]any {
	n := nesting{}
	for _, p := range all {
		n.insert(splitKey(p.key), p.value)
	}
	return n.mapAt("")
}

// A nesting has the entries of each level, in the order in which they came. The
// level of a[b] is "a[b"; that of the root is "".
type nesting map[string][]nestEntry

// A nestEntry is a value, or refers to the level below. Without a name it is an
// element of a list.
type nestEntry struct {
	name  string
	value string
	below string // "" for a value
}

// A nestKey is a name on a level.
type nestKey struct{ level, name string }

// splitKey turns a[b][] into a on the root, b on a, and nothing on a[b.
func splitKey(key string) []nestKey {
	head, rest, ok := strings.Cut(key, "[")
	if !ok || head == "" || !strings.HasSuffix(rest, "]") {
		return []nestKey{{"", key}}
	}
	keys := []nestKey{{"", head}}
	level := head
	for name := range strings.SplitSeq(strings.TrimSuffix(rest, "]"), "][") {
		keys = append(keys, nestKey{level, name})
		level += "[" + name
	}
	return keys
}

// insert adds a value, and to the levels above what leads to it, up to the first
// one that was there.
func (n nesting) insert(keys []nestKey, value string) {
	entry := nestEntry{value: value}
	for _, k := range slices.Backward(keys) {
		entry.name = k.name
		_, known := n[k.level]
		n[k.level] = append(n[k.level], entry)
		if known {
			return
		}
		entry = nestEntry{below: k.level}
	}
}

// at returns what is at a level: a list if the last param had no name there.
func (n nesting) at(level string) any {
	entries := n[level]
	if entries[len(entries)-1].name != "" {
		return n.mapAt(level)
	}
	list := []any{}
	for _, e := range entries {
		if e.name == "" {
			list = append(list, n.valueOf(e))
		}
	}
	return list
}

func (n nesting) mapAt(level string) map[string]any {
	m := map[string]any{}
	for _, e := range n[level] {
		if e.name != "" || level == "" {
			m[e.name] = n.valueOf(e)
		}
	}
	return m
}

func (n nesting) valueOf(e nestEntry) any {
	if e.below == "" {
		return e.value
	}
	return n.at(e.below)
}
