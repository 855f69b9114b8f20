package mask_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/cmd/phx/internal/mask"
)

func TestMask(t *testing.T) {
	t.Parallel()
	var m mask.Masker
	m.Add("hunter2")
	m.Add(`with "quotes"`)
	m.Add("abc") // too short to be looked for
	for in, want := range map[string]string{
		`["1","1","room:1","phx_join",{"token":"x","a":[{"password":{"b":1}},2],"c":"d"}]`: `["1","1","room:1","phx_join",{"token":"[masked]","a":[{"password":"[masked]"},2],"c":"d"}]`,
		`{"a":"hunter2","b":"with \"quotes\"","c":"abc"}`:                                  `{"a":"[masked]","b":"[masked]","c":"abc"}`,
		`{"accessToken": null , "x" : {"secret":[1]} }`:                                    `{"accessToken":"[masked]" , "x" : {"secret":"[masked]"} }`,
		`not JSON with hunter2`:                                                            `not JSON with [masked]`,
		`{"a":"SFMyNTY.g2gDYQFuBgAA.abc-def_1"}`:                                           `{"a":"[masked]"}`,
		`{"a":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig"}`:                                 `{"a":"[masked]"}`,
		`"token"`: `"token"`,
		``:        ``,
		`{}`:      `{}`,
	} {
		if got := m.Mask([]byte(in)); got != want {
			t.Errorf("Mask(%s)\n got %s\nwant %s", in, got, want)
		}
	}
}

// FuzzMask masks any text: what was JSON stays JSON, and a known secret is gone.
func FuzzMask(f *testing.F) {
	f.Add(`{"token":"hunter2","a":["hunter2",{"password":[1,{}]}]}`)
	f.Add(`[{"token":{"token":1}},{"secret":[]},"token"]`)
	f.Add(`hunter2`)
	f.Fuzz(func(t *testing.T, text string) {
		var m mask.Masker
		m.Add("hunter2")
		got := m.Mask([]byte(text))
		if strings.Contains(got, "hunter2") {
			t.Errorf("Mask(%q) = %q", text, got)
		}
		if json.Valid([]byte(text)) && !json.Valid([]byte(got)) {
			t.Errorf("Mask(%q) = %q, which is not JSON any more", text, got)
		}
	})
}
