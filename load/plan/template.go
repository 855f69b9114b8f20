package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"text/template"

	"github.com/phxgo/phoenix/load"
)

// Vars are what templates can use.
type Vars struct {
	User    int // the number of the user
	Channel int // the number of the channel, from 1, among those of the user
	Turn    int // the number of the push of the user, from 1
	user    *load.User
}

// Group returns the number of the group of n users that the user belongs to.
func (v Vars) Group(n int) (int, error) {
	if n < 1 {
		return 0, errors.New("the size of a group must be at least 1")
	}
	return (v.User-1)/n + 1, nil
}

// Random returns a number from 0 to n-1.
func (v Vars) Random(n int) (int, error) {
	if n < 1 {
		return 0, errors.New("the number must be at least 1")
	}
	i := 0
	if v.user != nil {
		v.user.Rand(func(r *rand.Rand) { i = r.IntN(n) })
	}
	return i, nil
}

// A text is a template, or a text that is always the same.
type text struct {
	fixed string
	tmpl  *template.Template
}

// newText parses a template, and tries it.
func newText(what, s string) (*text, error) {
	if !strings.Contains(s, "{{") {
		return &text{fixed: s}, nil
	}
	tmpl, err := template.New(what).Option("missingkey=error").Parse(s)
	if err != nil {
		return nil, fmt.Errorf("load: the template of %s: %w", what, err)
	}
	t := &text{tmpl: tmpl}
	if _, err := t.render(Vars{User: 1, Channel: 1, Turn: 1}); err != nil {
		return nil, fmt.Errorf("load: the template of %s: %w", what, err)
	}
	return t, nil
}

func (t *text) render(v Vars) (string, error) {
	if t.tmpl == nil {
		return t.fixed, nil
	}
	var b strings.Builder
	if err := t.tmpl.Execute(&b, v); err != nil {
		return "", err
	}
	return b.String(), nil
}

// A payload is a JSON value with templates in it.
type payload struct {
	fixed json.RawMessage // if there are none
	whole *text           // a template of JSON
	tree  any             // maps, lists, *text and other values
}

// newPayload makes a payload of what a file says: nothing, an object, or a text that
// is a template of JSON.
func newPayload(what string, v any) (*payload, error) {
	switch v := v.(type) {
	case nil:
		return &payload{fixed: json.RawMessage("{}")}, nil
	case string:
		t, err := newText(what, v)
		if err != nil {
			return nil, err
		}
		p := &payload{whole: t}
		raw, err := p.render(Vars{User: 1, Channel: 1, Turn: 1})
		if err != nil {
			return nil, err
		}
		if !json.Valid(raw) {
			return nil, fmt.Errorf("load: %s is a text that is not JSON", what)
		}
		return p.fix(raw), nil
	}
	tree, templates, err := compile(what, v)
	if err != nil {
		return nil, err
	}
	p := &payload{tree: tree}
	raw, err := p.render(Vars{User: 1, Channel: 1, Turn: 1})
	if err != nil {
		return nil, fmt.Errorf("load: %s: %w", what, err)
	}
	if templates == 0 {
		return p.fix(raw), nil
	}
	return p, nil
}

// fix keeps what is always the same.
func (p *payload) fix(raw json.RawMessage) *payload {
	if p.whole != nil && p.whole.tmpl != nil {
		return p
	}
	return &payload{fixed: raw}
}

// compile replaces texts that are templates.
func compile(what string, v any) (tree any, templates int, err error) {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, "{{") {
			return v, 0, nil
		}
		t, err := newText(what, v)
		return t, 1, err
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			sub, n, err := compile(what+"."+key, value)
			if err != nil {
				return nil, 0, err
			}
			out[key], templates = sub, templates+n
		}
		return out, templates, nil
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			sub, n, err := compile(fmt.Sprintf("%s[%d]", what, i), value)
			if err != nil {
				return nil, 0, err
			}
			out[i], templates = sub, templates+n
		}
		return out, templates, nil
	}
	return v, 0, nil
}

func fill(tree any, v Vars) (any, error) {
	switch node := tree.(type) {
	case *text:
		return node.render(v)
	case map[string]any:
		out := make(map[string]any, len(node))
		for key, value := range node {
			sub, err := fill(value, v)
			if err != nil {
				return nil, err
			}
			out[key] = sub
		}
		return out, nil
	case []any:
		out := make([]any, len(node))
		for i, value := range node {
			sub, err := fill(value, v)
			if err != nil {
				return nil, err
			}
			out[i] = sub
		}
		return out, nil
	}
	return tree, nil
}

func (p *payload) render(v Vars) (json.RawMessage, error) {
	if p.fixed != nil {
		return p.fixed, nil
	}
	if p.whole != nil {
		s, err := p.whole.render(v)
		return json.RawMessage(s), err
	}
	tree, err := fill(p.tree, v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("load: encode a payload: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
