package phoenixtest

import (
	"net/url"
	"strings"
)

// param is one name and value of a query, decoded.
type param struct{ key, value string }

// parseQuery decodes a query in order.
func parseQuery(query string) ([]param, error) {
	var all []param
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil {
			return nil, err
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		all = append(all, param{key, value})
	}
	return all, nil
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

// nestParams decodes Plug's bracket syntax. Where two params contradict each
// other about what a name is, the later one wins.
func nestParams(all []param) map[string]any {
	root := make(map[string]any)
	for _, p := range all {
		nest(root, splitKey(p.key), p.value)
	}
	return root
}

// splitKey turns a[b][] into a, b and "".
func splitKey(key string) []string {
	head, rest, ok := strings.Cut(key, "[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return []string{key}
	}
	return append([]string{head}, strings.Split(strings.TrimSuffix(rest, "]"), "][")...)
}

func nest(into map[string]any, path []string, value string) {
	key := path[0]
	switch {
	case len(path) == 1:
		into[key] = value
	case path[1] == "":
		list, _ := into[key].([]any) // anything else gives way to the list
		into[key] = append(list, element(path[2:], value))
	default:
		child, ok := into[key].(map[string]any)
		if !ok {
			child = make(map[string]any)
			into[key] = child
		}
		nest(child, path[1:], value)
	}
}

// element is an element of a list, which has a structure of its own if its
// name goes on after the brackets.
func element(path []string, value string) any {
	if len(path) == 0 {
		return value
	}
	m := make(map[string]any)
	nest(m, path, value)
	return m
}
