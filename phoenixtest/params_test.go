package phoenixtest

import (
	"encoding/json"
	"testing"
)

// What Plug.Conn.Query.decode/1 of Plug 1.19.2 returns.
func TestNestedParams(t *testing.T) {
	for query, want := range map[string]string{
		"":                        `{}`,
		"&&":                      `{}`,
		"a":                       `{"a":""}`,
		"=x":                      `{"":"x"}`,
		"a[][]=1&a[][]=2":         `{"a":[["1","2"]]}`,
		"a[][b]=1&a[][c]=2":       `{"a":[{"b":"1","c":"2"}]}`,
		"a[][b]=1&a[][b]=2":       `{"a":[{"b":"2"}]}`,
		"a[b]=1&a=2":              `{"a":"2"}`,
		"a=1&a[b]=2":              `{"a":{"b":"2"}}`,
		"a[]=1&a[b]=2":            `{"a":{"b":"2"}}`,
		"a[b]=1&a[]=2":            `{"a":["2"]}`,
		"a[b][]=1&a[b][c]=2":      `{"a":{"b":{"c":"2"}}}`,
		"a[]=1&a=2":               `{"a":"2"}`,
		"[a]=1":                   `{"[a]":"1"}`,
		"a]=1":                    `{"a]":"1"}`,
		"a[=1":                    `{"a[":"1"}`,
		"a[]b=1":                  `{"a[]b":"1"}`,
		"a[b]c]=1":                `{"a":{"b]c":"1"}}`,
		"a[b[c]]=1":               `{"a":{"b[c]":"1"}}`,
		"a[][][]=1":               `{"a":[[["1"]]]}`,
		"a[b]=1&a[c]=2&a[b]=3":    `{"a":{"b":"3","c":"2"}}`,
		"a[b][c]=1&a[b]=2":        `{"a":{"b":"2"}}`,
		"a=%zz&b=%4&c=%&d=%C3%A9": `{"a":"%zz","b":"%4","c":"%","d":"é"}`,
		"a+b=c+d&e=%2B":           `{"a b":"c d","e":"+"}`,
	} {
		params, err := parseQuery(query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		got, err := json.Marshal(nestParams(params))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", query, got, err, want)
		}
	}
	for _, query := range []string{"a=%ff", "%ff=a", "a=%C3"} {
		if params, err := parseQuery(query); err == nil {
			t.Errorf("%s: got %v, want an error", query, params)
		}
	}
}
