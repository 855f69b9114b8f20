package mask_test

import (
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
