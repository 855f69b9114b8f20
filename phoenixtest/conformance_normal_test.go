package phoenixtest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// normalizer makes frames comparable: JSON as values, what differs from run to
// run replaced by names that stay the same within a recording, and presence
// events, which come from a process of their own, last and in an order of their
// own.
type normalizer struct {
	names map[string]string
	refs  []string
}

// name returns the name for a value of the run.
func (n *normalizer) name(kind, value string) string {
	if n.names == nil {
		n.names = map[string]string{}
	}
	key := kind + " " + value
	if n.names[key] == "" {
		n.names[key] = fmt.Sprintf("<%s %d>", kind, len(n.names)+1)
	}
	return n.names[key]
}

func (n *normalizer) all(m map[string][]string) map[string][]string {
	out := make(map[string][]string, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out[name] = n.frames(m[name])
	}
	return out
}

func (n *normalizer) frames(frames []string) []string {
	var plain, presence, end []string
	for _, f := range frames {
		switch {
		case strings.Contains(f, "presence_diff"), strings.Contains(f, "presence_state"):
			presence = append(presence, f)
		case strings.HasPrefix(f, "closed "):
			end = append(end, f)
		default:
			plain = append(plain, f)
		}
	}
	blank := &normalizer{}
	slices.SortStableFunc(presence, func(a, b string) int {
		return strings.Compare(blank.text(a, true), blank.text(b, true))
	})
	all := slices.Concat(plain, presence, end)
	for i, f := range all {
		all[i] = n.text(f, false)
	}
	return all
}

func (n *normalizer) text(frame string, blank bool) string {
	var v any
	if err := json.Unmarshal([]byte(frame), &v); err != nil {
		return frame
	}
	out, err := json.Marshal(n.value("", v, blank))
	if err != nil {
		return frame
	}
	return string(out)
}

func (n *normalizer) value(key string, v any, blank bool) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			v[k] = n.value(k, v[k], blank)
		}
		return v
	case []any:
		for i := range v {
			v[i] = n.value(key, v[i], blank)
		}
		return v
	}
	switch key {
	case "online_at":
		return "<time>"
	case "phx_ref", "phx_ref_prev":
		if blank {
			return "<ref>"
		}
		ref := fmt.Sprint(v)
		n.refs = append(n.refs, ref)
		return n.name("ref", ref)
	}
	return v
}

// check looks at what was replaced.
func (n *normalizer) check(t *testing.T) {
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{16}$`)
	for _, ref := range n.refs {
		if !form.MatchString(ref) {
			t.Errorf("%q is no phx_ref", ref)
		}
	}
}

// poll is the body of a long-poll response.
type poll struct {
	Status   int      `json:"status"`
	Token    string   `json:"token,omitempty"`
	Messages []string `json:"messages,omitempty"`
}

func tokenIn(body string) string {
	var p poll
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return ""
	}
	return p.Token
}

func (n *normalizer) response(r *response) *response {
	if r.Status == http.StatusInternalServerError {
		return &response{Status: r.Status}
	}
	out := *r
	var p poll
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		return &out
	}
	if p.Token != "" {
		p.Token = n.name("token", p.Token)
	}
	p.Messages = n.frames(p.Messages)
	body, err := json.MarshalIndent(p, "", " ")
	if err == nil {
		out.Body = string(body)
	}
	return &out
}
